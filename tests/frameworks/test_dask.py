"""Looks and scores on Dask, by its executor alone: those of one process, with workers killed in mid-run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from harness.engines.errors import ClusterFailed
from harness.engines.futures import Futures
from tests.frameworks.scoring import PARTS, looked_alike, scored_alike
from tests.support.parts import poison, square

# A local cluster closes a worker that is not back after 15 s, which a busy machine may need to start one;
# then a part without a worker waits for ever. Dask blames a part for each worker that dies under it.
PATIENT = {
    "distributed.deploy.lost-worker-timeout": "10 minutes",
    "distributed.scheduler.no-workers-timeout": "10 minutes",
    "distributed.scheduler.allowed-failures": 20,
}
# Here nobody is waited for.
HASTY = {
    "distributed.deploy.lost-worker-timeout": "1ms",
    "distributed.scheduler.no-workers-timeout": "1s",
    "distributed.scheduler.allowed-failures": 0,
}


@contextmanager
def cluster(workers: int, settings: dict[str, str | int]) -> Iterator[Client]:
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as local,
        Client(local) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster(2, PATIENT) as found:
        yield found


def test_killed_workers_change_no_byte(
    client: Client, database_url: str, migrated: str, tmp_path: Path
) -> None:
    with client.get_executor() as executor:
        looked_alike(Futures(executor), database_url, migrated, tmp_path)
    assert len(list((tmp_path / "marks").iterdir())) == 2 * PARTS


def test_a_challenger_scored_there_has_the_batches_of_one_process(
    client: Client, database_url: str, migrated: str, tmp_path: Path
) -> None:
    with client.get_executor() as executor:
        scored_alike(Futures(executor), database_url, migrated, tmp_path)


def test_a_part_that_ends_its_workers_and_a_cluster_without_workers_are_given_up() -> None:
    with cluster(1, HASTY) as client, client.get_executor() as executor:
        with pytest.raises(ClusterFailed, match=r"ClientExecutor gave up: .* workers died while running it"):
            list(Futures(executor).map(poison, [2]))
        with pytest.raises(ClusterFailed, match="waiting without any running workers"):
            list(Futures(executor).map(square, range(3)))
