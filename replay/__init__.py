"""Replay: pure functions over columns that came from the log."""
