"""Threat models: what an adversary may do to an input, from code, from files, in a table's own units."""
