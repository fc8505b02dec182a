"""Model adapters: one module per kind of model."""
