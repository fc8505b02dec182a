"""The test that a naive harness would run, for comparison alone: report_only, it never gates.

It counts every decision as independent and takes each look for the only one. Both are wrong: with 100 looks
it promotes 37 % of models that are no better (tests/calibration/test_type_one.py shows it failing).
"""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from policies.columns import Columns
from policies.fold import difference_sign
from policies.metric_plan import MetricPlan


def naive_paired_z(
    columns: pa.Table, metric: MetricPlan, stops: Sequence[int] | None = None
) -> list[float | None]:
    """Return the paired z over decisions at each look, oriented: above 0 favours the challenger.

    `stops` are the numbers of rows, from the first on, that each look has seen; one look over all rows if
    left out. None where fewer than two decisions are usable or they do not vary: there is no z then.

    Raises:
        ColumnsError: a column is absent or of the wrong type.
    """
    read = Columns(columns)
    values = metric.kind.values(read, metric)
    difference = np.where(values.usable, difference_sign(metric) * (values.challenger - values.champion), 0.0)
    count, total, squares = (np.cumsum(each) for each in (values.usable, difference, difference**2))
    return [
        _z(int(count[stop - 1]), float(total[stop - 1]), float(squares[stop - 1])) if stop else None
        for stop in ([read.rows] if stops is None else stops)
    ]


def _z(count: int, total: float, squares: float) -> float | None:
    if count < 2:  # noqa: PLR2004  # a variance needs two
        return None
    variance = (squares - total * total / count) / (count - 1)
    return total / math.sqrt(count * variance) if variance > 0.0 else None
