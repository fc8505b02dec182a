"""Recovery: take a log that was restored from a backup to where all that is known of it agrees again."""
