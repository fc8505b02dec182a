"""Policies: metrics, evidence and verdicts, as pure functions."""
