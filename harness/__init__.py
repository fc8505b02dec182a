"""Harness: the shell around recorders, replay and policies."""
