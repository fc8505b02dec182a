"""A spool is copied file by file while its sidecar works; both go on, and nothing is lost or doubled."""

import collections
import random
import subprocess
import time
from pathlib import Path

from harness.log.log import Log
from tests.process.test_sidecar_kills import PACE, PATIENCE_S, Service
from tests.support.sidecars import Running, decision_ids, names, until


def test_a_spool_that_is_copied_under_load_loses_and_doubles_nothing(fresh_log: Log, tmp_path: Path) -> None:
    with Running(tmp_path / "original", fresh_log.url, PACE) as original:
        services = [Service(original.address, "early") for _ in range(2)]
        for service in services:
            service.start()
        until(lambda: all(len(service.told) > 10 for service in services), PATIENCE_S)
        time.sleep(random.Random(1).uniform(0.0, 1.0))
        # Sockets and files that vanish meanwhile are left out: it is the disk that is copied.
        source = [str(path) for path in (tmp_path / "original").iterdir() if not path.is_socket()]
        (tmp_path / "copy").mkdir()
        subprocess.run(["cp", "-a", *source, str(tmp_path / "copy")], capture_output=True, check=False)
        with Running(tmp_path / "copy", fresh_log.url, PACE) as copy:
            services.append(Service(copy.address, "late"))
            services[-1].start()
            until(lambda: len(services[-1].told) > 10, PATIENCE_S)
            for service in services:
                service.stopping = True
            for service in services:
                service.join(PATIENCE_S)
                assert not service.is_alive()
            for sidecar in (copy, original):
                assert sidecar.run("drain").returncode == 0
    told = [name for service in services for name in names(service.told)]
    assert collections.Counter(decision_ids(fresh_log)) == collections.Counter(told)
    fresh_log.verify()
