"""The database schema of the log, as Alembic migrations with one SQL file for each object."""
