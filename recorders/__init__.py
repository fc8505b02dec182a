"""Recorders: what a production service imports to append its decisions to the log."""
