"""A session of Spark for a command: of a master, or of a Spark Connect server."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.engines.errors import SparkMissing
from harness.engines.spark import gave_up

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONNECT = "sc://"


@contextmanager
def spark_session(master: str) -> Iterator["SparkSession"]:
    """Yield a session of `master`, such as local[2,4] or spark://host:7077, or of a server, sc://host:15002.

    Workers of this machine run this Python, unless PYSPARK_PYTHON names another.

    Raises:
        SparkMissing: PySpark cannot be imported.
        ClusterFailed: the cluster cannot be reached.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SparkMissing(str(error)) from error
    builder = SparkSession.builder.appName("harness")
    if master.startswith(CONNECT):
        builder = builder.remote(master)
    else:
        if master.startswith("local"):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master(master).config("spark.ui.enabled", "false")
    with gave_up():
        session = builder.getOrCreate()
    try:
        yield session
    finally:
        session.stop()
