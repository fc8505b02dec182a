"""Doors: events of services that we do not control, translated into frames."""
