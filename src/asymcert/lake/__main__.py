"""A worker process: ``python -m asymcert.lake DEST SOURCE`` answers a line of JSON for each unit on its pipes."""

import os
import sys

from asymcert.lake.worker import main

if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints must not come between the answers
    main(sys.argv[1], sys.argv[2], sys.stdin, own)
