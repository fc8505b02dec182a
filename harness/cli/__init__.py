"""The `harness` command line, one module per noun."""
