"""Candidates: the decisions of a range, with all that decides which of them are rows, and with what label."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.log import Log
from harness.log.predicate import Wanted
from harness.replay_errors import FeatureUnknown
from harness.training.errors import SpecUnusable
from harness.training.source import Schemas, Source, keys_of, schemas_of
from harness.training.spec import Spec
from recorders.columns import OUTCOME_SCHEMA
from replay.columns import FEATURE, INSTANT, count_values, grouped, instants, mask_of
from replay.errors import ColumnsError
from replay.labels import LabelRule
from replay.matching import Decided, Flags, Latest
from replay.ranges import AsOf
from replay.splits import Parted, parted
from replay.training import selected

# So many outcomes are matched at once: each time the ids of the range are hashed anew.
OUTCOME_ROWS = 2**20
# Outcomes without a decision are kept up to so many, since a later decision may be theirs.
ORPHANS_KEPT = 2**18
OUTCOMES = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("recorded_at", INSTANT, nullable=False),
        *OUTCOME_SCHEMA,
    ]
)
_KEYS = ("position", "decision_id", "occurred_at", "inclusion", "propensity", "decision")


@dataclass(frozen=True, slots=True)
class Candidates:
    """The decisions of a range up to a place; a decision a row.

    `keys` are their ids, places and times, and what weights are made of. `excluded` are foreign to the set or
    not selected. `outcomes` counts the outcomes of each label up to the place, and `orphans` are those of the
    set's labels that no decision of the range has; None where they are too many to be kept.
    """

    keys: pa.Table
    excluded: Flags
    parted: Parted
    decided: Decided
    latest: tuple[tuple[LabelRule, Latest], ...]
    outcomes: dict[str, int]
    orphans: pa.Table | None


def candidates_of(source: Source, as_of: AsOf) -> tuple[Candidates, Schemas]:
    """Return the decisions of the range that `source` has read, as known at `as_of`.

    Raises:
        MixedFeatureSets, FeatureUnknown, EvolutionUnresolved: see `schemas_of`.
    """
    spec = source.spec
    schemas = schemas_of(source)
    keys, excluded, where = sorted_out(source, schemas)
    decided = Decided.of(keys.column("decision_id"), instants(keys.column("occurred_at"), "occurred_at"))
    latest = tuple((rule, Latest(decided, rule.window)) for rule in spec.labels)
    counts, orphans = matched(outcomes_of(source.log, spec, 1, as_of), latest)
    return Candidates(keys, excluded, where, decided, latest, counts, orphans), schemas


def continued(
    before: Candidates, source: Source, news: Iterable[pa.Table], *, known: AsOf, schemas: Schemas
) -> Candidates:
    """Return the candidates `before`, known at `known`, with the decisions of `source` that follow them.

    They are what `candidates_of` gives for the whole range; `news` are the outcomes after `known`. One that
    came before its decision is among the orphans; where those were not kept, the outcomes up to `known` are
    read again.
    """
    keys, excluded, where = sorted_out(source, schemas)
    decided = before.decided.continued(
        keys.column("decision_id"), instants(keys.column("occurred_at"), "occurred_at")
    )
    latest = tuple((rule, each.continued(decided)) for rule, each in before.latest)
    fresh = pa.chunked_array(decided.ids.chunks[before.decided.ids.num_chunks :], pa.large_string())
    early = before.orphans
    if early is None and len(fresh):
        early = _of_ids(outcomes_of(source.log, source.spec, 1, known), fresh)
    left = None if early is None else _found_at_last(early, latest, fresh)
    counts, orphans = matched(news, latest)
    if before.orphans is None or left is None or orphans is None:
        both = None
    else:
        both = pa.concat_tables([left, orphans])
    return Candidates(
        pa.concat_tables([before.keys, keys]),
        np.concatenate([before.excluded, excluded]),
        _after(before.parted, where),
        decided,
        latest,
        _summed(before.outcomes, counts),
        both if both is None or both.num_rows <= ORPHANS_KEPT else None,
    )


def matched(
    tables: Iterable[pa.Table], latest: Iterable[tuple[LabelRule, Latest]]
) -> tuple[dict[str, int], pa.Table | None]:
    """Feed every outcome to its label; return how many each label has, and those without a decision."""
    counts: dict[str, int] = {}
    orphans: list[pa.Table] | None = []
    held = 0
    for table in tables:
        names = table.column("label").cast(pa.large_string())
        counts = _summed(counts, count_values(names))
        for rule, each in latest:
            own = table.filter(pc.equal(names, rule.name))
            unknown = own.filter(mask_of(each.update(own)))
            held += unknown.num_rows
            if held > ORPHANS_KEPT:
                orphans = None
            if orphans is not None and unknown.num_rows:
                orphans.append(unknown)
    return counts, None if orphans is None else pa.concat_tables([OUTCOMES.empty_table(), *orphans])


def outcomes_of(log: Log, spec: Spec, start: int, as_of: AsOf, *, whole: bool = False) -> Iterator[pa.Table]:
    """Yield the outcomes from `start` up to a place, OUTCOME_ROWS or a few more at a time.

    `whole`: no batch of the log reaches beyond `start` from before it.
    """
    if start > as_of.position:
        return
    wanted = Wanted("outcome", spec.decision_point, recent=start > 1, begins=whole)
    read = log.scan(start, as_of.position + 1, wanted)
    for part in grouped(read, OUTCOME_ROWS):
        yield pa.Table.from_batches(part, schema=OUTCOMES)


def sorted_out(source: Source, schemas: Schemas) -> tuple[pa.Table, Flags, Parted]:
    """Return what is kept of the decisions that `source` read, which are excluded, how they are parted."""
    spec = source.spec
    keys, foreign = keys_of(source, schemas)
    excluded = np.asarray(foreign, dtype=np.bool_) | _unwanted(keys, spec, schemas)
    names = keys.schema.names
    nobody = pa.chunked_array([pa.nulls(keys.num_rows, pa.string())])
    units = keys.column("unit") if "unit" in names else nobody
    occurred = instants(keys.column("occurred_at"), "occurred_at")
    where = parted(spec.split, occurred, units, keys.column("decision_id"))
    return keys.select([name for name in _KEYS if name in names]), excluded, where


def _unwanted(keys: pa.Table, spec: Spec, schemas: Schemas) -> Flags:
    try:
        return ~np.asarray(selected(keys, spec.where), dtype=np.bool_)
    except ColumnsError as error:
        columns = {name.removeprefix(FEATURE) for name in keys.schema.names}
        unknown = [name for name in spec.where if name not in columns]
        if not unknown:
            raise SpecUnusable(error.happened, error.expected) from error
        known = [*(each.name for each in schemas.chosen.fields), "unit", "model"]
        raise FeatureUnknown(unknown, known) from error


def _of_ids(tables: Iterable[pa.Table], ids: pa.ChunkedArray) -> pa.Table:
    """Return the outcomes of these decisions."""
    found = [table.filter(pc.is_in(table.column("decision_id").cast(ids.type), ids)) for table in tables]
    return pa.concat_tables([OUTCOMES.empty_table(), *found])


def _found_at_last(
    early: pa.Table, latest: Iterable[tuple[LabelRule, Latest]], fresh: pa.ChunkedArray
) -> pa.Table:
    """Feed the outcomes that came before their decisions; return those whose decision has not come yet."""
    if not early.num_rows:
        return early
    own = pc.is_in(early.column("decision_id").cast(fresh.type), fresh)
    came = early.filter(own)
    for rule, each in latest:
        found = came.filter(pc.equal(came.column("label").cast(pa.large_string()), rule.name))
        each.update(found)
        each.orphan -= found.num_rows
    return early.filter(pc.invert(own))


def _after(before: Parted, more: Parted) -> Parted:
    fold = None
    if before.fold is not None and more.fold is not None:
        fold = np.concatenate([before.fold, more.fold])
    return Parted(np.concatenate([before.stays, more.stays]), np.concatenate([before.test, more.test]), fold)


def _summed(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
