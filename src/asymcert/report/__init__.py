"""Reports: one self-contained HTML page and pictures for papers, drawn from a run folder's rows."""

from asymcert.report.page import write_report

__all__ = ["write_report"]
