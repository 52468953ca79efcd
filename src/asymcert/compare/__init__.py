"""Every method on the same data: trained, certified on the same samples, and shown on one page."""

from asymcert.compare.contenders import COMPARED
from asymcert.compare.methods import Curve, Method
from asymcert.compare.run import CompareOptions, compare
from asymcert.compare.table_methods import FOR_TABLES, methods_for

METHODS = COMPARED  # its name in the version before

__all__ = ["COMPARED", "FOR_TABLES", "METHODS", "CompareOptions", "Curve", "Method", "compare", "methods_for"]
