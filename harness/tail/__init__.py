"""Tails: challengers that are scored while the log grows (docs/adr/0032)."""
