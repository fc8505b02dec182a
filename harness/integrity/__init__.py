"""Integrity: signed checkpoints of the log, proofs under them, witnesses and anchors outside it."""
