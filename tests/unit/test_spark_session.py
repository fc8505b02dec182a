"""A Spark Connect server that is not there is said at once: Spark's own client asks it for ten minutes."""

import socket

import pytest

from harness.engines.errors import ClusterFailed
from harness.engines.spark_session import check_master, check_reached, spark_session
from harness.errors import UsageError


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield free.getsockname()[1]


@pytest.mark.parametrize("more", ["", "/;user_id=someone;use_ssl=true"])
def test_nobody_who_listens_is_said_with_the_place(port, more):
    with pytest.raises(ClusterFailed, match=f"nothing answers at 127.0.0.1:{port}"):
        check_reached(f"sc://127.0.0.1:{port}{more}")


def test_who_listens_is_reached():
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_reached(f"sc://127.0.0.1:{server.getsockname()[1]}/;user_id=someone")


@pytest.mark.parametrize("odd", ["sc://", "sc://host:port", "sc:///;token=x"])
def test_what_is_no_address_is_left_to_spark(odd):
    check_reached(odd)


def test_behind_a_proxy_nothing_can_be_told(port, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    check_reached(f"sc://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "master",
    ["local", "local[2]", "local[2,4]", "local[*]", "yarn", "spark://a:7077,b:7077", "k8s://https://a"],
)
def test_what_spark_takes_for_a_master_is_taken(master):
    check_master(master)


@pytest.mark.parametrize(
    "master", ["", "nonsense", "local[0]", "local[2", "local[2,]", "spark://", "cluster:7077"]
)
def test_a_word_that_is_no_master_is_refused_before_java_starts(master):
    with pytest.raises(UsageError, match="is no master of Spark"), spark_session(master):
        pass
