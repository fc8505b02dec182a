"""Sessions of Spark for the tests: one of its own, and one of a Spark Connect server."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# pandas has no part in what we do there; PySpark looks at its version all the same.
SPARK_WARNINGS = ("ignore:PySpark does not yet fully support pandas:FutureWarning",)


def environment() -> dict[str, str]:
    """Return what lets Spark's workers run this Python with this tree."""
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def spark():
    """A session whose workers have this tree, and which runs a task again that was killed."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        for name in ("PYSPARK_PYTHON", "PYTHONPATH"):
            patch.setenv(name, environment()[name])
        builder = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
        found = builder.config("spark.sql.shuffle.partitions", "4").getOrCreate()
        yield found
        found.stop()


@pytest.fixture(scope="module")
def connect_server(tmp_path_factory):
    """The address of a Spark Connect server, whose two executors are processes of their own."""
    import pyspark

    home = Path(pyspark.__file__).parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = tmp_path_factory.mktemp("connect")
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": 4,
        "spark.driver.memory": "1g",
        "spark.local.dir": place,
    }
    command = [home / "bin/spark-submit", "--master", "local-cluster[2,1,1024]"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    for name, value in settings.items():
        command += ["--conf", f"{name}={value}"]
    told = (place / "server.log").open("wb")
    server = subprocess.Popen(
        [*map(str, command), "spark-internal"],
        stdout=told,
        stderr=subprocess.STDOUT,
        cwd=place,
        env={**environment(), "SPARK_HOME": str(home)},
        start_new_session=True,
    )
    try:
        _listening(server, port, place / "server.log")
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        told.close()


@pytest.fixture(scope="module")
def connected(connect_server):
    """A session of that server."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
        found = SparkSession.builder.remote(connect_server).getOrCreate()
        yield found
        found.stop()


def _listening(server, port, log):
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-4_000:]
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError(log.read_text()[-4_000:])
