"""Tests that need frameworks which nobody needs together: `make test-frameworks` has a place for them.

The suite collects each file where its framework can be imported, and leaves the others out.
"""

from importlib.util import find_spec

from tests.frameworks.spark_support import connect_server, connected, spark

NEEDS = {
    "test_dask.py": "distributed",
    "test_feast.py": "feast",
    "test_mlserver.py": "mlserver",
    "test_spark.py": "pyspark",
    "test_spark_connect.py": "pyspark",
    "test_spark_sets.py": "pyspark",
    "test_spark_segments.py": "pyspark",
    "test_torch.py": "torch",
    "test_torch_model.py": "torch",
    "test_tensorflow.py": "tensorflow",
    "test_hugging_face.py": "datasets",
    "test_dvc.py": "dvc",
    "test_croissant.py": "mlcroissant",
}
__all__ = ["connect_server", "connected", "spark"]
collect_ignore = [name for name, package in NEEDS.items() if find_spec(package) is None]
