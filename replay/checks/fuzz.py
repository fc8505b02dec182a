"""Rows that nobody recorded, made of the recorded schema by Hypothesis: none may harm another row."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from replay.adapters.reasons import reason_code
from replay.checks.finding import Finding
from replay.checks.invariance import forget
from replay.columns import FEATURE
from replay.isolation import IsolatedModel
from replay.model_errors import ModelError

BESIDE = 7
_ODD_TEXTS = ("", " ", "\x00", "None", "nan", "é́😀", "x" * 5000)
_LARGEST = 2**63 - 1
_FIRST, _LAST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001  the strategy adds the zone


class _Harmed(Exception):  # noqa: N818  how one example tells the search that it found something
    def __init__(self, row: dict[str, Any], harm: str) -> None:
        super().__init__(harm)
        self.row, self.harm = row, harm


def fuzz(model: IsolatedModel, rows: pa.Table, examples: int) -> Finding:
    """Check that `examples` odd rows cost at most themselves: no end of the process, no neighbour's bit.

    The search is derandomised: the same model and schema see the same rows.
    """
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st
    from hypothesis.errors import Flaky

    names = [FEATURE + name for name in model.info.inputs]
    base = rows.slice(0, BESIDE)
    known = _scores(model, base)
    counts: dict[str, int] = {}

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries({n: _values(rows.column(n)) for n in names if n in rows.schema.names}))
    def harmless(row: dict[str, Any]) -> None:
        kills = sum(model.account.kills.values())
        found = _scores(model, _with(base, row))
        error = found.column("error")[BESIDE].as_py()
        if error is not None:
            counts[reason_code(error)] = counts.get(reason_code(error), 0) + 1
        if sum(model.account.kills.values()) > kills:
            raise _Harmed(row, f"ended its process ({error})")
        if not found.slice(0, BESIDE).equals(known):
            raise _Harmed(row, "changed the scores of the rows beside it")

    try:
        harmless()
    except _Harmed as harmed:
        odd = {
            n.removeprefix(FEATURE): v for n, v in harmed.row.items() if v not in base.column(n).to_pylist()
        }
        shown = ", ".join(f"{name}={value!r:.40}" for name, value in odd.items())
        words = f"a row with {shown or 'recorded values'} {harmed.harm}"
        return Finding("odd values", "fail", words, {"row": _plain(odd)})
    except Flaky:
        return Finding("odd values", "fail", "the same odd row came out otherwise the second time")
    except ModelError as error:
        return Finding("odd values", "fail", str(error.happened))
    words = ", ".join(f"{count} {code}" for code, count in sorted(counts.items())) or "all were scored"
    return Finding("odd values", "pass", f"{examples} odd rows harmed no other: {words}", {"errors": counts})


def _scores(model: IsolatedModel, rows: pa.Table) -> pa.Table:
    batch = rows.combine_chunks().to_batches()[0]
    names = ["decision_position" if name == "position" else name for name in batch.schema.names]
    forget(model)
    return pa.Table.from_batches([model.score(batch.rename_columns(names))])


def _with(base: pa.Table, row: dict[str, Any]) -> pa.Table:
    """Return the base rows and one more, which is the first of them with the odd values."""
    odd = base.slice(0, 1)
    for name, value in row.items():
        at = odd.schema.get_field_index(name)
        odd = odd.set_column(at, odd.schema.field(at), pa.array([value], odd.schema.field(at).type))
    return pa.concat_tables([base, odd])


def _values(column: pa.ChunkedArray) -> Any:
    """Return the strategy of one column: what was recorded, what its type allows, and nothing at all."""
    from hypothesis import strategies as st

    recorded = column.slice(0, 50).drop_null().to_pylist() or [None]
    return st.one_of(st.sampled_from(recorded), st.none(), _odd(column.type))


def _odd(kind: pa.DataType) -> Any:
    """Return the strategy of whatever a type allows."""
    from hypothesis import strategies as st

    edges = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, -1e300]
    whole = [0, -1, _LARGEST, -_LARGEST - 1]
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    of_type: list[tuple[Callable[[pa.DataType], bool], Any]] = [
        (pa.types.is_floating, st.one_of(st.sampled_from(edges), st.floats())),
        (pa.types.is_boolean, st.booleans()),
        (pa.types.is_integer, st.one_of(st.sampled_from(whole), st.integers(-_LARGEST, _LARGEST))),
        (pa.types.is_timestamp, st.datetimes(_FIRST, _LAST, timezones=st.just(UTC))),
        (pa.types.is_list, st.lists(st.floats(), max_size=5)),
        (pa.types.is_binary, st.binary(max_size=100)),
        (pa.types.is_null, st.none()),
    ]
    odd_text = st.one_of(st.sampled_from(_ODD_TEXTS), texts)
    return next((strategy for is_kind, strategy in of_type if is_kind(kind)), odd_text)


def _plain(row: dict[str, Any]) -> dict[str, str]:
    return {name: f"{value!r:.80}" for name, value in row.items()}
