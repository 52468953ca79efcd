"""Lakes: certified radii for tables in any number of files, by any number of processes, each row once."""

from asymcert.lake.driver import Progress, certify
from asymcert.lake.manifest import Record
from asymcert.lake.status import Status, status

__all__ = ["Progress", "Record", "Status", "certify", "status"]
