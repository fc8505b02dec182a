"""Integrations: decisions are recorded where a service already is: its server, its function, its model.

Each module is imported by name and loads the standard library and msgspec alone; `mlflow` loads MLflow
when it is called.
"""
