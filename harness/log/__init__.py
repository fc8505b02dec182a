"""The log: one append-only sequence of batches in PostgreSQL."""
