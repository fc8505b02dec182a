"""The columns that a plan needs of the log, beside those that every plan needs."""

import dataclasses
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from harness.experiments import Experiment
from harness.log.log import Log
from policies.logged_metric import PROPENSITY
from policies.options import declared
from policies.plan import Plan
from policies.serving import ERRORS, LATENCIES
from recorders.columns import DECISION_ENVELOPE, OUTCOME_SCHEMA
from replay.columns import FEATURE, grouped, ids
from replay.join import Joined

_ID = "decision_id"
_DECISION_COLUMNS = (_ID, "occurred_at", "unit", "score", "decision")
# Who decided: read where the champion is scored again.
_CHAMPION_COLUMNS = ("model", "model_version")
# So many rows are matched at once at least.
_TOGETHER = 2**20
_POSITION = pa.field("position", pa.int64(), nullable=False)
# Columns of the paired table that come straight from the decision event.
_RECORDED = {LATENCIES[0]: "latency_us", PROPENSITY: PROPENSITY}


def beside(plan: Plan) -> dict[str, str]:
    """Return the columns to carry into the paired table, each with the column of the decisions it is."""
    recorded = {name: source for name, source in _RECORDED.items() if name in plan.columns}
    return recorded | {f"{FEATURE}{name}": f"{FEATURE}{name}" for name in plan.features}


def errors_column(plan: Plan) -> str | None:
    """Return the column that tells why decisions failed, None when no metric reads it."""
    return ERRORS[0] if ERRORS[0] in plan.columns else None


def completed(paired: pa.Table, plan: Plan, challenger_us: Mapping[int, int]) -> pa.Table:
    """Return the paired table with the columns that neither decisions nor scores hold.

    A score holds no latency: `challenger_us` are those that were measured, by position, a sample of them. The
    others have none, nor has what nobody measured.
    """
    took = {LATENCIES[1]: challenger_us}
    for name in LATENCIES:
        if name in plan.columns and name not in paired.schema.names:
            known = took.get(name, {})
            values = [known.get(position) for position in paired.column("position").to_pylist()]
            paired = paired.append_column(name, pa.array(values, pa.int64()))
    return paired


def unread(plan: Plan) -> set[str]:
    """Return the columns of pairs that say which decision it is, and that the plan does not read.

    They are in the digest of the pairs; no metric reads the id of a decision.
    """
    days, latencies = plan.unit.kind == "day", set(LATENCIES) & set(plan.columns)
    found = {_ID}
    found |= set() if latencies else {_POSITION.name}
    found |= {"unit"} if days else {"occurred_at"}
    return found


def blocking(plan: Plan) -> list[str]:
    """Return the decisions that hide an outcome which a metric is bounded without."""
    return sorted({str(metric.blocked_decision) for metric in plan.metrics if metric.bounded})


def with_blocked(joined: Joined, plan: Plan) -> Joined:
    """Return the joined decisions with the blocked ones, without a label; these are not missing any more."""
    missing = joined.missing
    if missing is None:
        return joined
    hidden = missing.filter(
        pc.is_in(missing.column("decision"), value_set=pa.array(blocking(plan), pa.string()))
    )
    more = pa.concat_tables([joined.table, hidden], promote_options="default")
    reasons = {**joined.reasons, "missing": joined.reasons["missing"] - hidden.num_rows}
    return dataclasses.replace(joined, table=more.sort_by("position"), reasons=reasons)


def read_decisions(
    log: Log, experiment: Experiment, start: int, stop: int, own: pa.Array | None = None
) -> pa.Table:
    """Return the decisions of a range as one table, with the features that the experiment's plan reads.

    A feature is null where a feature set lacks it; numbers and booleans are floats, all else is text. One
    that no decision here has is a number where the plan needs it as one. `own`: the decisions' ids, where
    they were read already.
    """
    plan = experiment.plan
    champion = () if experiment.rescore is None else _CHAMPION_COLUMNS
    wanted = {*_DECISION_COLUMNS, *champion, *beside(plan).values()} - ({_ID} if own is not None else set())
    schema = pa.schema([_POSITION, *(field for field in DECISION_ENVELOPE if field.name in wanted)])
    features = [f"{FEATURE}{name}" for name in plan.features]
    names = [name for name in (*schema.names, *features) if name != "position"]
    read = log.read(start, stop, kind="decision", decision_point=experiment.decision_point, columns=names)
    batches = list(read)
    table = pa.Table.from_batches([_plain(batch, schema) for batch in batches], schema=schema)
    if own is not None:
        table = table.add_column(1, _ID, own)
    needed = {f"{FEATURE}{name}" for metric in plan.metrics for name in declared(metric.covariates) or ()}
    for name in features:
        absent = pa.float64() if batches and name in needed else pa.string()
        table = table.append_column(name, _feature(batches, name, absent))
    return table


def outcome_tables(
    log: Log, start: int, stop: int, decision_point: str, beside_rows: int
) -> Iterator[pa.Table]:
    """Yield the outcomes of a decision point in a range of positions, some at a time.

    They are matched with `beside_rows` decisions, whose ids are hashed anew for each table: as many come
    at once.
    """
    schema = pa.schema([_POSITION, *OUTCOME_SCHEMA])
    batches = log.read(
        start, stop, kind="outcome", decision_point=decision_point, columns=OUTCOME_SCHEMA.names
    )
    for some in grouped((_plain(batch, schema) for batch in batches), max(_TOGETHER, beside_rows)):
        yield pa.Table.from_batches(some, schema=schema)


def earlier_ids(
    log: Log, start: int, stop: int, decision_point: str, beside_rows: int
) -> Iterator[pa.ChunkedArray]:
    """Yield the ids of the decisions of a range, some at a time, as `outcome_tables` does."""
    batches = log.read(start, stop, kind="decision", decision_point=decision_point, columns=["decision_id"])
    for some in grouped(batches, max(_TOGETHER, beside_rows)):
        yield ids(pa.chunked_array([batch.column("decision_id") for batch in some]), "decision_id")


def _plain(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema)


def _feature(batches: list[pa.RecordBatch], name: str, absent: pa.DataType) -> pa.ChunkedArray:
    found = [batch.column(name) if name in batch.schema.names else None for batch in batches]
    kinds = {_kind(column.type) for column in found if column is not None}
    kind = kinds.pop() if len(kinds) == 1 else pa.string() if kinds else absent
    exact = kind != pa.float64()  # an integer beyond 2**53 is as near as a double can say
    chunks = [
        pa.nulls(batch.num_rows, kind) if column is None else column.cast(kind, safe=exact)
        for batch, column in zip(batches, found, strict=True)
    ]
    return pa.chunked_array(chunks, type=kind)


def _kind(kind: pa.DataType) -> pa.DataType:
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return pa.float64() if number else pa.string()
