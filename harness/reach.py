"""What a number of a declaration may be: beyond it no log goes, and what was written is a slip of the pen.

Asked where a file is read. What is registered is decoded for ever, whatever it says.
"""

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.experiment_file import duration
from harness.strict_toml import Problem

COUNT_MOST = 10**12
POSITION_MOST = 2**63 - 1
SIZE_LEAST, SIZE_MOST = 1e-18, 1e18
TIME_MOST = dt.timedelta(days=36_525)
_TIMES = {("label", "window"), ("looks", "every"), ("monitor", "fresh")}
_DURATION = re.compile(r"^[1-9][0-9]{0,5}[smhdw]$")
# Keys with a reach of their own; of low and high every number is one.
_MOST: dict[tuple[str, str], float] = {
    ("window", "from"): POSITION_MOST,
    ("window", "to"): POSITION_MOST,
    ("rivals", "from"): POSITION_MOST,
    ("rivals", "to"): POSITION_MOST,
    ("policy", "max_looks"): 10**6,
    ("drift", "min_days"): 3_660,
    ("drift", "looks_per_year"): 366 * 24 * 60 * 60,
    ("detector", "run_days"): 10**7,
    ("features", "low"): math.inf,
    ("features", "high"): math.inf,
}


def out_of_reach(tables: Mapping[str, Any], known: Sequence[Problem] = ()) -> Iterator[Problem]:
    """Yield the numbers of a file's tables that no experiment or monitor can mean, beside the `known` faults.

    >>> [str(each) for each in out_of_reach({"policy": {"min_units": 10**23}})]
    ['[policy] min_units: it holds 1e+23. Expected at most 1000000000000. Correct it: no log holds so many.']
    """
    told = {(each.table, each.key) for each in known}
    for table, values in tables.items():
        many = [values] if isinstance(values, dict) else values if isinstance(values, list) else []
        for number, each in enumerate(many, 1):
            place = table if isinstance(values, dict) else f"{table} {number}"
            for key, value in each.items() if isinstance(each, dict) else ():
                if (place, key) not in told:
                    yield from _faults(place, (table, key), value)


def _faults(place: str, key: tuple[str, str], value: Any) -> Iterator[Problem]:
    if key in _TIMES:
        yield from _long(place, key[1], value)
    for one in value if isinstance(value, list) else [value]:
        yield from _fault(place, key[1], one, _MOST.get(key))


def _long(table: str, key: str, value: Any) -> Iterator[Problem]:
    # A text that is no duration is told by its type; a date so far away is none of the calendar.
    if isinstance(value, str) and _DURATION.match(value) and duration(value) > TIME_MOST:
        expected = f"Expected at most {TIME_MOST.days}d, a hundred years."
        yield Problem(table, key, f"it holds {value!r}.", expected, "Correct it: nobody waits so long.")


def _fault(table: str, key: str, value: Any, most: float | None) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if isinstance(value, int):
        limit = COUNT_MOST if most is None else most
        if abs(value) > limit:
            # `%g` of an integer that no double holds is an OverflowError.
            found = f"{value:g}" if abs(value) < 10**300 else f"a number of {len(str(abs(value)))} digits"
            remedy = "Correct it: no log holds so many."
            yield Problem(table, key, f"it holds {found}.", f"Expected at most {limit}.", remedy)
    elif not math.isfinite(value):
        yield Problem(table, key, f"it holds {value}.", "Expected a finite number.", "Correct it.")
    elif value and most is None and not SIZE_LEAST <= abs(value) <= SIZE_MOST:
        expected = f"Expected 0, or a size from {SIZE_LEAST:g} to {SIZE_MOST:g}."
        yield Problem(table, key, f"it holds {value:g}.", expected, "Correct it, or use another unit.")
