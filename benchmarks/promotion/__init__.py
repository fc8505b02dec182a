"""Promotion: one simulated world, read by our tests and by those of other libraries."""
