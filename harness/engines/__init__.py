"""Engines: where a function is mapped over parts, and what becomes of a part whose worker dies."""
