"""The sidecar: takes frames from services, keeps them on disk, and ships them into the log."""
