"""A session of Spark for a command: of a master, or of a Spark Connect server."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.engines.errors import ClusterFailed, SparkMissing
from harness.engines.spark import gave_up
from harness.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONNECT = "sc://"
# A manager may be a plug-in with a scheme of its own; any other word ends Spark's Java by its trace.
_COUNT = r"(\*|[1-9]\d*)"
_MASTER = re.compile(rf"local|local\[{_COUNT}(,[1-9]\d*)?\]|local-cluster\[.+\]|yarn|[a-z][a-z0-9]*://.+")
_PORT = 15002
_REACHED_S = 10.0
# Where gRPC finds a proxy: what listens behind it cannot be told from here.
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")


@contextmanager
def spark_session(master: str) -> Iterator["SparkSession"]:
    """Yield a session of `master`, such as local[2,4] or spark://host:7077, or of a server, sc://host:15002.

    Workers of this machine run this Python, unless PYSPARK_PYTHON names another.

    Raises:
        UsageError: `master` names no cluster.
        SparkMissing: PySpark cannot be imported.
        ClusterFailed: the cluster cannot be reached.
    """
    check_master(master)
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise SparkMissing(str(error)) from error
    builder = SparkSession.builder.appName("harness")
    if master.startswith(CONNECT):
        check_reached(master)
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


def check_master(master: str) -> None:
    """Refuse what is no master's name, before Java is started for it.

    Raises:
        UsageError: it is none.
    """
    if _MASTER.fullmatch(master) is None:
        raise UsageError(
            f'"{master}" is no master of Spark.',
            "Expected local[N], local[N,FAILURES], local[*], yarn or an address with its scheme.",
            "Name the master, spark://host:7077 say, or a Spark Connect server, sc://host:15002.",
        )


def check_reached(server: str) -> None:
    """Refuse a Spark Connect server where nobody listens.

    Spark's client asks one for ten minutes, also when its process has been told to end.

    Raises:
        ClusterFailed: nobody listens there.
    """
    if any(os.environ.get(name) for name in _PROXIES):
        return
    try:
        place = urlsplit(server)
        host, port = place.hostname, place.port or _PORT
    except ValueError:  # Spark says what is wrong with it
        return
    if host is None:
        return
    try:
        socket.create_connection((host, port), _REACHED_S).close()
    except OSError as error:
        unreached = ConnectionError(f"nothing answers at {host}:{port} ({error})")
        raise ClusterFailed("Spark", unreached) from error
