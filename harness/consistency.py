"""The consistency check: recompute features on a sample of decisions and compare with what was served."""

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from harness.errors import NotFound, UsageError
from harness.log.log import Log
from harness.replay_errors import FeatureUnknown, MixedFeatureSets, NothingToScore
from harness.training.source import digest_of
from recorders.fields import FeatureSet
from replay.adapters.guard import guard
from replay.adapters.opening import read_artefact
from replay.adapters.python import load_attribute
from replay.adapters.uri import parse_uri
from replay.columns import FEATURE, ids
from replay.consistency import FieldConsistency, Tolerance, compare
from replay.frames import to_frame
from replay.loading_errors import ModelNotLoaded
from replay.matching import Flags
from replay.model_errors import ModelNotFound
from replay.splits import Split, parted


class Consistency(msgspec.Struct, frozen=True):
    """What a check found. `sampled` decisions of `decisions`; `absent` of them have no raw inputs."""

    transformation: str
    digest: str
    decision_point: str
    start: int
    stop: int
    decisions: int
    sampled: int
    absent: int
    fields: tuple[FieldConsistency, ...]

    @property
    def agrees(self) -> bool:
        """Whether every sampled decision could be recomputed, and every compared cell agrees."""
        return not self.absent and all(field.agrees for field in self.fields)


class Sample(msgspec.Struct, frozen=True):
    """Which decisions are recomputed: a `share` of those in [start, stop), the same for the same seed.

    Of one feature set: a column must mean one thing. `feature_set` (name:version) chooses it of several.
    """

    decision_point: str
    start: int
    stop: int
    share: float = 0.05
    seed: str = ""
    feature_set: str | None = None


def check_consistency(
    log: Log,
    transformation: str,
    sample: Sample,
    *,
    raw: pa.Table | None = None,
    tolerances: Mapping[str, Tolerance] | None = None,
    folder: Path | None = None,
) -> Consistency:
    """Return how features recomputed by `py:module:function` agree with those that were served.

    The function gets a DataFrame of raw inputs, one row a decision with its `decision_id`, and answers one
    with a row for each, in that order, and a column for each feature that it computes. The raw inputs are
    the rows of `raw` with that decision_id; without `raw`, the recorded fields of role context.

    Raises:
        NothingToScore: no decision in the range.
        MixedFeatureSets: the range holds several, and none of them was chosen. NotFound: not the chosen one.
        FeatureUnknown: it answers a feature that was never served.
        UsageError: there is no such function, it raised or answered something else, the raw inputs have a
            decision twice, or the sample holds none.
    """
    if not 0.0 < sample.share <= 1.0:
        raise UsageError(
            f"The share is {sample.share}.", "Expected above 0, at most 1.", "Choose such a share."
        )
    function, digest = _transformation(transformation, folder)
    served, decisions = _served(log, sample)
    inputs, kept = _inputs(served, raw)
    absent = served.num_rows - kept.num_rows
    again = _recomputed(transformation, function, inputs, kept)
    for name in (name for name in tolerances or {} if name not in again.schema.names):
        raise FeatureUnknown([name], again.schema.names)
    plain = kept.select(["decision_id", *again.schema.names])
    fields = compare(plain, again, _special(kept, again.schema.names), tolerances or {})
    return Consistency(
        transformation=transformation,
        digest=digest,
        decision_point=sample.decision_point,
        start=sample.start,
        stop=sample.stop,
        decisions=decisions,
        sampled=served.num_rows,
        absent=absent,
        fields=tuple(fields),
    )


def _transformation(name: str, folder: Path | None) -> tuple[Any, str]:
    """Return the function that `py:module:function` names, and the digest of its source."""
    uri = parse_uri(name)
    if uri.scheme != "py":
        raise UsageError(
            f"{name} is no function of features.", "Expected py:module:function.", "Name such a function."
        )
    try:
        artefact = read_artefact(name, folder)
        return load_attribute(uri, artefact.path, artefact.content, artefact.digest), artefact.digest
    except (ModelNotFound, ModelNotLoaded) as error:
        why = error.missing if isinstance(error, ModelNotFound) else error.reason
        raise UsageError(
            f"There is no {name} to call: {why}.",
            "Expected py:module:function, of a module that can be imported here.",
            "Correct the name or the module, or run the command in the folder that holds it.",
        ) from error


def read_raw(path: Path) -> pa.Table:
    """Return a Parquet file of raw inputs.

    Raises:
        UsageError: it cannot be read, or has no decision_id.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(
            f"{path} cannot be read: {error}.", "Expected Parquet.", "Check the file."
        ) from error
    if "decision_id" not in table.schema.names:
        raise UsageError(f"{path} has no decision_id.", "Expected one row a decision.", "Add the column.")
    return table


def _served(log: Log, sample: Sample) -> tuple[pa.Table, int]:
    """Return the sampled decisions with their fields by plain name, and of how many."""
    split = None if sample.share == 1.0 else Split(by="unit", test=sample.share, seed=sample.seed)
    known, wanted = log.feature_sets(), sample.feature_set
    tables, sets, held = [], dict[str, FeatureSet](), Counter[str]()
    source = log.read(sample.start, sample.stop, kind="decision", decision_point=sample.decision_point)
    for batch in source:
        digest = digest_of(batch)
        label = known[digest].label if digest in known else digest[:12]
        held[label] += batch.num_rows
        if wanted not in {None, label}:
            continue
        table = pa.Table.from_batches([batch])
        names = table.column("decision_id")
        chosen = parted(split, np.zeros(batch.num_rows, np.int64), names, names)
        table = table.filter(pa.array(chosen.test if split else chosen.stays))
        if digest in known:
            sets[digest] = known[digest]
        own = [n for n in table.schema.names if n.startswith(FEATURE) or n in {"decision_id", "statuses"}]
        tables.append(table.select(own).replace_schema_metadata(None))
    if wanted is not None and held and wanted not in held:
        raise NotFound("feature set", wanted, held)
    if wanted is None and len(held) > 1:
        raise MixedFeatureSets(held)
    if not tables:
        raise NothingToScore(sample.decision_point, sample.start, sample.stop)
    if not any(table.num_rows for table in tables):
        raise UsageError(
            f"The sample holds none of {held.total():,} decisions of {sample.decision_point!r}.",
            f"Expected one at least; a share of {sample.share:g} chose none of them.",
            "Choose a larger share, or another seed.",
        )
    together = pa.concat_tables(tables, promote_options="default")
    context = [f.name for found in sets.values() for f in found.fields if f.role == "context"]
    named = together.rename_columns([name.removeprefix(FEATURE) for name in together.schema.names])
    decisions = held.total() if wanted is None else held[wanted]
    return named.replace_schema_metadata({"context": ",".join(dict.fromkeys(context))}), decisions


def _inputs(served: pa.Table, raw: pa.Table | None) -> tuple[pa.Table, pa.Table]:
    """Return the raw inputs and the served rows that have some, in one order."""
    if raw is None:
        names = [name for name in served.schema.metadata[b"context"].decode().split(",") if name]
        if not names:
            raise UsageError(
                "The snapshots have no field of role context.",
                "Expected raw inputs that were recorded, or a file of them.",
                "Hand them over with --raw.",
            )
        return served.select(["decision_id", *names]), served
    known = ids(raw.column("decision_id"), "decision_id").combine_chunks()
    if twice := len(known) - pc.count_distinct(known).as_py():
        raise UsageError(
            f"{twice:,} of {len(known):,} rows of raw inputs have the decision_id of an earlier one.",
            "Expected one row a decision: which of them was there when it was decided, nobody can tell.",
            "Leave one of each in the file.",
        )
    at = pc.index_in(ids(served.column("decision_id"), "decision_id"), value_set=known).combine_chunks()
    return raw.take(at.drop_null()), served.filter(at.is_valid())


def _recomputed(name: str, function: Any, inputs: pa.Table, served: pa.Table) -> pa.Table:
    """Return what the function answers, in the types that were served."""
    given = to_frame(inputs.combine_chunks())
    order = given.index.copy()
    # What the function prints is no part of the answer, least of all of JSON.
    with redirect_stdout(sys.stderr):
        answer, failed = guard(function, given)
    if failed is not None:
        raise _wrong(name, f"raised {failed.reason}")
    if not isinstance(answer, pd.DataFrame) or len(answer) != inputs.num_rows:
        size = f" of {len(answer)} rows" if isinstance(answer, pd.DataFrame) else ""
        raise _wrong(name, f"answered a {type(answer).__name__}{size} to {inputs.num_rows:,} rows")
    if not answer.columns.is_unique:
        twice = answer.columns[answer.columns.duplicated()].astype(str)
        raise _wrong(name, f"answered {', '.join(twice.unique())} more than once")
    if "decision_id" in answer.columns and list(answer["decision_id"]) != inputs["decision_id"].to_pylist():
        raise _wrong(name, "answered rows of other decisions, or in another order")
    if not answer.index.equals(order) and set(answer.index) == set(order):  # sorted on the way, and not back
        raise _wrong(name, "answered the rows in another order")
    wanted = [column for column in answer.columns if column != "decision_id"]
    if not wanted:
        raise _wrong(name, "answered no feature")
    known = [one for one in served.schema.names if one not in {"decision_id", "statuses"}]
    if unknown := [str(column) for column in wanted if column not in known]:
        raise FeatureUnknown(unknown, known)
    return pa.table({column: _typed(name, column, answer[column], served) for column in wanted})


def _typed(name: str, column: str, values: Any, served: pa.Table) -> pa.ChunkedArray:
    """Return a column in the served type.

    A NaN of pandas is a null where the type has no NaN, and where a null was served: it has no other mark.
    """
    kind = served.schema.field(column).type
    objects = values.dtype == object
    try:
        if pa.types.is_floating(kind) and not objects:
            numbers = values.to_numpy(np.float64, na_value=math.nan)
            unserved = np.asarray(served.column(column).combine_chunks().is_null())
            return pa.chunked_array([pa.array(numbers, mask=np.isnan(numbers) & unserved)])
        return pa.chunked_array([pa.array(values, from_pandas=True).cast(kind)])
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise _wrong(name, f"answered {column} in another type than {kind}: {error}") from error


def _wrong(name: str, what: str) -> UsageError:
    return UsageError(
        f"{name} {what}.",
        "Expected a DataFrame with a row for each it was given, in that order, and the features as columns.",
        "Correct the function; nothing was compared.",
    )


def _special(served: pa.Table, names: Sequence[str]) -> dict[str, Flags]:
    """Return for each feature which rows were served with a status that is not plain."""
    found = {name: np.zeros(served.num_rows, dtype=np.bool_) for name in names}
    if "statuses" not in served.schema.names:
        return found
    column = served.column("statuses").combine_chunks()
    lengths = np.asarray(column.value_lengths().fill_null(0))
    fields = column.flatten().field("field").to_pylist()
    for row, field in zip(np.repeat(np.arange(served.num_rows), lengths).tolist(), fields, strict=True):
        if field in found:
            found[field][row] = True
    return found
