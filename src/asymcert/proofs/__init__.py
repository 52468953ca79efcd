"""Proofs of certificates, and the separate program that checks them with numpy alone."""
