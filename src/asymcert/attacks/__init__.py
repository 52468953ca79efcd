"""Attacks: searches for a change of the input, within a budget, that undoes a sensitive verdict."""

from asymcert.attacks.base import Attack, AttackResult, score
from asymcert.attacks.pgd import ProjectedGradient

__all__ = ["Attack", "AttackResult", "ProjectedGradient", "score"]
