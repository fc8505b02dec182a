"""A run scored in parts, on any engine: references of parts travel out, scores come back in files, in order.

They come as they are stored, and counted. The one who asks appends them: the log holds the same batches in
the same order as without an engine.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from harness.appending import Appending
from harness.budget import Meter, Used, used_here
from harness.challengers import account_since, challenger
from harness.engines.engine import Engine
from harness.engines.errors import EngineLost
from harness.engines.shared import check_shared
from harness.kept_models import kept_open, let_go, let_go_after
from harness.log.log import Address, Log
from harness.model_check import may_join
from harness.owned_folder import owned_folder
from harness.pair_files import batches_of
from harness.replay_batches import GROUP_ROWS, Group, alive, group_of, groups
from harness.stored_scores import Counted, Summary
from recorders.errors import HarnessError
from replay.isolation import Account, Limits
from replay.model import Joins, Model
from replay.score import columns_for, score_blocks, score_joined

# A part is some seconds of work: 64 groups of canonical blocks.
PART_ROWS = 64 * GROUP_ROWS
# What remembers is scored in order: a part for each range.
UNCUT = GROUP_ROWS * 2**32
_GROUPS = pa.schema([("rows", pa.int64()), ("last", pa.int64()), ("payload", pa.binary())])
# While a file of this name lies beside the parts, nothing more is wanted.
FLAG = "enough"

Range = tuple[int, int]


class Ask(msgspec.Struct, frozen=True):
    """What is scored: the same for every part of a run. `fresh`: the run has no score yet.

    `folder`: where workers find the model's files, by its whole path, as the one who asks does.
    """

    model: str
    decision_point: str
    run: str
    fresh: bool
    folder: Path
    limits: Limits


class Part(NamedTuple):
    """A range of positions that begins where a canonical group begins; `number` counts from 0."""

    number: int
    places: Range

    def __repr__(self) -> str:
        first, after = self.places
        return f"positions [{first}, {after})"


class Scored(NamedTuple):
    """What a worker says of a part, beside its file.

    `account` is what the model cost, `used` what the worker used since it began, `counted` its first rows.
    Before its end it ended by an `error`, or was `cut` because nothing more was wanted.
    """

    account: dict[str, Any]
    used: Used
    counted: Counted
    error: HarnessError | None
    cut: bool


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


class Parts:
    """A run's ranges scored by the workers of an engine, appended here in the order of the decisions.

    `account` is what the model cost so far, in all of them.
    """

    def __init__(self, log: Log, ask: Ask, engine: Engine, append: Appending, meter: Meter) -> None:
        self._log, self._ask, self._engine, self._append, self._meter = log, ask, engine, append, meter
        self.account = Account()

    def score(self, ranges: Sequence[Range], *, remembers: bool) -> None:
        """Append every group of scores of the ranges.

        What remembers goes on from the state that the range before left: one range at a time.

        Raises:
            PartPoisoned, EngineLost, ClusterFailed: see harness.engines.errors; what was appended stays.
            BudgetSpent, ModelError: a part ended so; the groups before are appended.
        """
        parts = parts_of(self._log, self._ask.decision_point, ranges, UNCUT if remembers else PART_ROWS)
        for some in [[part] for part in parts] if remembers else [parts]:
            self._score(some)

    def _score(self, parts: Sequence[Part]) -> None:
        waiting, turn = dict[int, Scored](), 0
        with owned_folder("harness-scores-") as folder, let_go_after(folder):
            flag = folder / FLAG
            task = partial(_scored, self._log.address, self._ask, folder)
            with _raised_after(flag, self._meter.left_s()):
                for index, done in self._engine.map(task, parts):
                    waiting[index] = done
                    with _raised_by_failure(flag):
                        self._count(done)
                        while turn in waiting:
                            self._take(folder, parts[turn], waiting.pop(turn))
                            turn += 1
                        self._meter.check()
        if turn < len(parts):
            raise EngineLost([n for n in range(turn, len(parts)) if n not in waiting], len(parts))

    def _count(self, done: Scored) -> None:
        self.account.merge(Account.from_log(done.account))
        self._meter.worker(done.used)
        self._meter.model(self._ask.model, self.account.cpu_us / 1e6)

    def _take(self, folder: Path, part: Part, done: Scored) -> None:
        """Append the groups of a part; those before its failure, when it failed."""
        path = _path(folder, part)
        self._append.part(_groups(path), done.counted)
        path.unlink()
        if done.error is not None:
            raise done.error
        if done.cut:
            raise self._meter.out_of_time()


@contextmanager
def _raised_after(flag: Path, seconds: float | None) -> Iterator[None]:
    """Raise a flag when the time is over: workers end after the group that they have in hand."""
    timer = None if seconds is None else Timer(seconds, flag.touch)
    if timer is not None:
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
            timer.join()


@contextmanager
def _raised_by_failure(flag: Path) -> Iterator[None]:
    """Raise the flag when nothing more is wanted, so that nobody waits for parts that are in hand."""
    try:
        yield
    except HarnessError:
        flag.touch()
        raise


def _scored(address: Address, ask: Ask, folder: Path, part: Part) -> Scored:
    """Score a part into its file. Done twice, the same file stands there."""
    check_shared(folder, ask.folder)
    path, error, cut, seen = _path(folder, part), None, False, Summary()
    own = path.with_suffix(f".{uuid.uuid4().hex}")  # its name alone is by chance
    how: dict[str, Any] = {"decision_point": ask.decision_point, "folder": ask.folder, "limits": ask.limits}
    with (
        address.open() as log,
        kept_open(folder, challenger(log, ask.model, **how)) as model,
        pa.ipc.new_file(str(own), _GROUPS) as writer,
    ):
        decisions = log.read(
            *part.places, kind="decision", decision_point=ask.decision_point, columns=columns_for(model.info)
        )
        try:
            for scores in scored(log, model, decisions, first=ask.fresh and not part.number):
                group = group_of(scores, ask.run)
                writer.write_batch(pa.RecordBatch.from_pylist([group._asdict()], schema=_GROUPS))
                seen.add(scores)
                if (folder / FLAG).exists():  # one group at least: it gets on
                    cut = True
                    break
        except HarnessError as ended:
            error = ended
        account = account_since(model)
    if error is not None:
        let_go(folder)
    own.replace(path)
    mine = used_here()
    used = mine._replace(memory_mb=mine.memory_mb + account.resident_mb_max)
    return Scored(account.to_log(), used, seen.counted(), error, cut)


def _groups(path: Path) -> Iterator[Group]:
    return (Group(**row) for batch in batches_of(path) for row in batch.to_pylist())


def _path(folder: Path, part: Part) -> Path:
    return folder / f"{part.number}.arrow"
