"""Evidence on Dask, by its executor alone: the bytes of one process, with workers killed in mid-run."""

from functools import partial
from pathlib import Path

import dask
from distributed import Client, LocalCluster

from harness.engines.engine import InProcess
from harness.engines.futures import Futures
from harness.looks import take_look
from tests.support import servers
from tests.support.parted_shop import DAY_UNIT, as_bytes, declared, measured, parted_shop
from tests.support.parts import once_killed


def test_killed_workers_change_no_byte(database_url: str, migrated: str, tmp_path: Path) -> None:
    class Killing:
        def map(self, fn, parts):
            with client.get_executor() as executor:
                yield from Futures(executor).map(partial(once_killed, str(marks), fn), parts)

    marks = tmp_path / "marks"
    marks.mkdir()
    # Dask blames a task for each worker that dies under it, whoever killed it, and gives up after three.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 20}),
        servers.fresh_database(database_url, migrated) as url,
        parted_shop(tmp_path, url) as shop,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        declared(shop, tmp_path, "day", unit=DAY_UNIT)
        take_look(shop.log, "day", folder=tmp_path)
        whole = as_bytes(measured(shop.log, "day", InProcess(), 1))
        assert as_bytes(measured(shop.log, "day", Killing(), 3)) == whole
    assert len(list(marks.iterdir())) == 3
