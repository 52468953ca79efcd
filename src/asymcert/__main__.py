"""``python -m asymcert`` is the command line."""

from asymcert.cli import main

main()
