"""SQL over the log: DuckDB reads it through the one reader, sealed or hot."""
