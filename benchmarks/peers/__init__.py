"""What services use today to keep what they saw and decided, each behind the same three calls."""
