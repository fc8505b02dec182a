"""Segments and SQL over them, measured: a part of benchmarks.log."""
