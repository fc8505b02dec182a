"""Joins: each way to make 300,000 rows of 30 features, in a process of its own."""
