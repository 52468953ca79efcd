"""Attacks: searches for a change of the input, within a budget, that undoes a sensitive verdict."""

from asymcert.attacks.base import Attack, AttackResult, score
from asymcert.attacks.columns import ColumnPairs, ColumnSearch
from asymcert.attacks.pgd import ProjectedGradient
from asymcert.attacks.rounding import RoundingAttack
from asymcert.attacks.search import RandomSearch

__all__ = [
    "Attack",
    "AttackResult",
    "ColumnPairs",
    "ColumnSearch",
    "ProjectedGradient",
    "RandomSearch",
    "RoundingAttack",
    "score",
]
