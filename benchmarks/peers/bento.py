"""BentoML's monitor: the one serving framework whose recorder runs without its server."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.load import FEATURES

_DATA_TYPE = {"string": "categorical", "list[float64]": "numerical_sequence"}


class BentoMonitor:
    """The default monitor: a line of JSON into a file that rotates daily, a call for each column."""

    def __init__(self) -> None:
        os.environ["BENTOML_DO_NOT_TRACK"] = "True"
        import bentoml

        self._monitor = bentoml.monitor
        self._folder = Path(tempfile.mkdtemp())
        types = [(field.name, _DATA_TYPE.get(field.type, "numerical")) for field in FEATURES.fields]
        self._columns = dict(types)

    def call(self, features: dict[str, Any], score: float) -> object:
        """Log the columns of one decision."""
        with self._monitor("bench", monitor_options={"log_path": str(self._folder)}) as monitor:
            for name, value in features.items():
                monitor.log(value, name=name, role="feature", data_type=self._columns[name])
            monitor.log(score, name="score", role="prediction", data_type="numerical")
        return None

    def finish(self) -> int:
        """Return the lines of the file."""
        (path,) = self._folder.glob("bench/data/*.log")
        lines = path.read_bytes().count(b"\n")
        shutil.rmtree(self._folder)
        return lines
