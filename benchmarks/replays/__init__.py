"""What `python -m benchmarks.replay` runs in processes of their own, and what it is measured against."""
