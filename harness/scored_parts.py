"""A run scored in parts, on any engine: references of parts travel out, scores come back in files, in order.

The one who asks appends them: the log holds the same batches in the same order as without an engine.
"""

import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from harness.challengers import account_of_model, challenger
from harness.engines.engine import Engine
from harness.engines.errors import EngineLost
from harness.kept_pairs import COMPRESSED, batches_of
from harness.log.log import Address, Log
from harness.model_check import may_join
from harness.replay_batches import GROUP_ROWS, alive, groups
from recorders.columns import SCORE_SCHEMA
from recorders.errors import HarnessError
from replay.isolation import Account, Limits
from replay.model import Joins, Model
from replay.score import columns_for, score_blocks, score_joined

# A part is some seconds of work: 64 groups of canonical blocks.
PART_ROWS = 64 * GROUP_ROWS
# What remembers is scored in order: a part for each range.
UNCUT = GROUP_ROWS * 2**32

Range = tuple[int, int]


class Ask(msgspec.Struct, frozen=True):
    """What is scored: the same for every part of a run. `fresh`: the run has no score yet."""

    model: str
    decision_point: str
    fresh: bool
    folder: Path | None
    limits: Limits | None


class Part(NamedTuple):
    """A range of positions that begins where a canonical group begins; `number` counts from 0."""

    number: int
    places: Range

    def __repr__(self) -> str:
        return f"positions {self.places}"


class Scored(NamedTuple):
    """What a worker says of a part, beside its file: what the model cost, and why it ended before its end."""

    account: dict[str, Any] | None
    error: HarnessError | None


def scored(
    log: Log, model: Model, batches: Iterator[pa.RecordBatch], *, first: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the scores of decisions in groups; blocks are joined where the model was measured to allow it."""
    if isinstance(model, Joins) and may_join(log, model.info.digest):
        return groups(alive(model, score_joined(model, batches), first=first))
    return groups(alive(model, score_blocks(model, batches), first=first))


def parts_of(log: Log, decision_point: str, ranges: Sequence[Range], rows: int = PART_ROWS) -> list[Part]:
    """Return the ranges cut where a multiple of `rows` of their own decisions has gone by.

    Memory: a number for each part. Only positions are read.
    """
    assert rows % GROUP_ROWS == 0, "a part begins with a group"
    found: list[Range] = []
    for first, after in ranges:
        starts, gone = [first], 0
        for batch in log.read(first, after, kind="decision", decision_point=decision_point, columns=[]):
            at = batch.column("position").to_numpy()
            starts += at[np.arange(-gone % rows, at.size, rows)].tolist()
            gone += at.size
        cuts = sorted(set(starts))
        found += list(zip(cuts, [*cuts[1:], after], strict=True))
    return [Part(number, places) for number, places in enumerate(found)]


def score_parts(
    log: Log, ask: Ask, parts: Sequence[Part], engine: Engine, append: Callable[[pa.RecordBatch], None]
) -> Account:
    """Hand every group of scores to `append`, in the order of the decisions; return what all parts cost.

    Raises:
        PartPoisoned, EngineLost: see harness.engines.errors; what was appended before stays.
        ModelError: a part ended so; the groups before are appended.
    """
    total, waiting, turn = Account(), dict[int, Scored](), 0
    with tempfile.TemporaryDirectory(prefix="harness-scores-") as folder:
        for index, done in engine.map(partial(_scored, log.address, ask, folder), parts):
            waiting[index] = done
            while turn in waiting:
                account, error = waiting.pop(turn)
                path = _path(folder, parts[turn])
                for group in batches_of(path):
                    if group.num_rows:
                        append(group)
                path.unlink()
                if account is not None:
                    total.merge(Account.from_log(account))
                if error is not None:
                    raise error
                turn += 1
    if turn < len(parts):
        raise EngineLost([n for n in range(turn, len(parts)) if n not in waiting], len(parts))
    return total


def _scored(address: Address, ask: Ask, folder: str, part: Part) -> Scored:
    """Score a part into its file. Done twice, the same file stands there."""
    path, error = _path(folder, part), None
    own = path.with_suffix(f".{uuid.uuid4().hex}")  # its name alone is by chance
    with (
        address.open() as log,
        challenger(
            log, ask.model, decision_point=ask.decision_point, folder=ask.folder, limits=ask.limits
        ) as model,
        pa.ipc.new_file(str(own), SCORE_SCHEMA, options=COMPRESSED) as writer,
    ):
        decisions = log.read(
            *part.places, kind="decision", decision_point=ask.decision_point, columns=columns_for(model.info)
        )
        try:
            empty = pa.RecordBatch.from_pylist([], schema=SCORE_SCHEMA)
            found = scored(log, model, decisions, first=ask.fresh and not part.number)
            for group in chain([empty], found):
                writer.write_batch(group)
        except HarnessError as ended:
            error = ended
        account = account_of_model(model)
    own.replace(path)
    return Scored(account, error)


def _path(folder: str, part: Part) -> Path:
    return Path(folder) / f"{part.number}.arrow"
