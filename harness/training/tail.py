"""Tail: the decisions of a set that may count otherwise in the longer one, as they were and as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from harness.log.places import Since
from harness.training.blocks import NOT_REGISTERED, Block, Unusable
from harness.training.candidates import continued, outcomes_of
from harness.training.kept import Kept
from harness.training.news import News
from harness.training.rows import Judged, Outline, Rows, judged, rows_of
from harness.training.source import Source, schemas_of
from harness.training.spec import Spec


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a set, whose row number `first` is its first one; all before it stays as it is.

    `stays` are the blocks before it, `was` what its decisions were in the set that is continued, `rows` what
    they and the new ones are now. `outline` is of the whole longer set.
    """

    stays: tuple[Block, ...]
    first: int
    was: Judged
    rows: Rows
    outline: Outline
    rows_per_part: int


def tail_of(kept: Kept, source: Source, since: Since, registered: Mapping[str, Any]) -> Tail:
    """Return the tail of the set as it is `since` then, of which `source` has read the new decisions.

    Raises:
        Unusable: what is kept is not what was written, or not what was registered.
    """
    log, spec, index, as_of = source.log, source.spec, kept.index, since.now
    outcomes = outcomes_of(log, spec, index.as_of.position + 1, as_of, whole=since.whole)
    held = list(islice(outcomes, 2))
    decisions = index.decisions + sum(batch.num_rows for batch in source.batches)
    # Weights may depend on every row; and of very many outcomes no more than a part is held at a time.
    everything = len(held) > 1 or _weighted(spec)
    opened = 0 if everything else kept.open_from(spec, decisions, _news(source, spec, held))
    before = kept.candidates(spec, opened)
    was = judged(log, spec, index.as_of, before, alone=False)
    schemas = schemas_of(source, index.feature_sets)
    news = (table for tables in (held, outcomes) for table in tables)
    candidates = continued(before, source, news, known=index.as_of, schemas=schemas)
    now = judged(log, spec, as_of, candidates, alone=not opened)
    rows = rows_of(source, as_of, candidates, schemas, now)
    first = registered["rows"] - was.size
    outline = rows if not opened else _outline(rows, registered, was)
    if first < 0 or outline.size < 1:
        raise Unusable(NOT_REGISTERED if first < 0 else "none of its rows is left")
    return Tail(index.blocks[:opened], first, was, rows, outline, index.rows_per_part)


def _weighted(spec: Spec) -> bool:
    return spec.weights is not None or any(rule.immature == "weight" for rule in spec.labels)


def _news(source: Source, spec: Spec, outcomes: list[pa.Table]) -> News:
    """Return the new decisions' ids, and those that new outcomes of the set have."""
    ids = [batch.column("decision_id") for batch in source.batches]
    found = [pa.chunked_array(ids, pa.string())]
    for table in outcomes:
        names = table.column("label").cast(pa.large_string())
        found += [table.column("decision_id").filter(pc.equal(names, rule.name)) for rule in spec.labels]
    return News(found)


def _outline(rows: Rows, registered: Mapping[str, Any], was: Judged) -> Outline:
    """Return what the whole set is: what was registered, less its old tail, plus the new one."""
    counts = _changed(registered["counts"], was.counts, rows.counts)
    splits = _changed(registered["splits"], was.splits, rows.splits)
    return Outline(
        spec=rows.spec,
        as_of=rows.as_of,
        size=registered["rows"] - was.size + rows.size,
        # Of several labels a reason is named where it took any, as a part of the split is.
        counts={name: count for name, count in counts.items() if count or "." not in name},
        outcomes=_changed(registered["outcomes"], was.outcomes, rows.outcomes),
        splits={name: count for name, count in splits.items() if count},
        more=rows.more,
        schemas=rows.schemas,
        schema=rows.schema,
    )


def _changed(whole: Mapping[str, int], was: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    found = {name: whole.get(name, 0) - was.get(name, 0) + now.get(name, 0) for name in {**whole, **now}}
    if any(count < 0 for count in found.values()):
        raise Unusable(NOT_REGISTERED)
    return found
