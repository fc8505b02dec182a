"""Monitors: a scheduled watch on quality, drift and live performance, day by day, out of the log."""
