"""Certificates of plain ReLU networks: bound propagation and branch and bound."""
