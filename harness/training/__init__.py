"""Training sets: specified, cut from the log, written, verified, extended, compared, handed on."""
