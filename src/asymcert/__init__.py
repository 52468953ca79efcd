"""Asymmetric certified robustness: classifiers whose sensitive verdict provably holds."""
