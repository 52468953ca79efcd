"""Lakes: certified radii for tables in any number of files, by any number of processes, each row once."""

from asymcert.lake.driver import Progress, certify
from asymcert.lake.manifest import Record
from asymcert.lake.status import Status, status
from asymcert.lake.verify import Finding, Verification, verify

__all__ = ["Finding", "Progress", "Record", "Status", "Verification", "certify", "status", "verify"]
