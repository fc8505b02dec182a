"""One part of an experiment's range: its evidence and its account, which merge with those of others."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.champion_again import champion_noise, merged_noise
from harness.experiments import Experiment
from harness.log.log import Log
from harness.measured_columns import (
    beside,
    blocking,
    completed,
    earlier_ids,
    errors_column,
    outcome_tables,
    read_decisions,
    with_blocked,
)
from harness.own_metrics import own_values
from harness.replays import read_scores
from harness.window import COUNTED, OPEN, OUTSIDE, PARTIAL, Codes, row_codes
from policies.evidence import Evidence
from policies.fold import fold
from policies.serving import LATENCIES
from replay.columns import ids, mask_of
from replay.id_index import IdIndex
from replay.join import Joined, OneLabel, join
from replay.pairs import Paired, pair
from replay.ranges import AsOf


class Question(msgspec.Struct, frozen=True):
    """What a look asks of [start, stop), whoever answers: the same for every part.

    `rescore_error` is what the champion raised when it was scored again, None when it did not.
    """

    experiment: Experiment
    as_of: AsOf
    start: int
    stop: int
    scores_up_to: int
    rescore_error: str | None


class Account(msgspec.Struct, frozen=True):
    """Counts of decisions and outcomes. All add up over parts but `known`: all outcomes of the label.

    `joined` decisions have an outcome or are blocked; `outside`, `partial` and `open` are those that the
    window or their day leaves out. `outcomes` are those that name a decision of these parts.
    """

    decisions: int
    joined: int
    outside: int
    partial: int
    open: int
    scored: int
    unscored: int
    failed: int
    reasons: dict[str, int]
    outcomes: dict[str, int]
    known: int
    other_label: int

    def merge(self, other: "Account") -> "Account":
        """Return the account of both parts together."""
        shared = ("known", "other_label")
        assert all(getattr(self, name) == getattr(other, name) for name in shared), "all outcomes, every time"
        mine, theirs = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return Account(**{n: v if n in shared else _added(v, theirs[n]) for n, v in mine.items()})


class Columns(NamedTuple):
    """The columns of a part by position: as they were `paired`, and with what its metrics read as well."""

    paired: pa.Table
    measured: pa.Table


@dataclass(frozen=True)
class MeasuredPart:
    """What one part says. `columns` is None once they are put elsewhere."""

    account: Account
    evidence: Evidence
    noise: dict[str, Any] | None
    columns: Columns | None

    def merge(self, other: "MeasuredPart") -> "MeasuredPart":
        """Return what both say together, without their columns."""
        return MeasuredPart(
            self.account.merge(other.account),
            self.evidence.merge(other.evidence),
            merged_noise(self.noise, other.noise),
            None,
        )

    def without_columns(self) -> "MeasuredPart":
        """Return the same without its columns."""
        return replace(self, columns=None)


class ReadBefore(Protocol):
    """What a part asks of the log that other parts ask as well, where it was read for all of them."""

    def outcomes_of_label(self) -> Iterator[OneLabel]:
        """Yield all outcomes of the label."""
        ...

    def ids_of(self, part: tuple[int, int]) -> IdIndex:
        """Return the ids of the decisions of a part."""
        ...

    def ids_before(self, part: tuple[int, int]) -> Iterator[IdIndex]:
        """Yield the ids of the decisions of the question's range before a part, some at a time."""
        ...


class PairedPart(NamedTuple):
    """The pairs of a part and its account, before any metric; `settled`: only an outcome can change them."""

    account: Account
    noise: dict[str, Any] | None
    table: pa.Table
    settled: bool


def measure_part(log: Log, question: Question, start: int, stop: int) -> MeasuredPart:
    """Return what [start, stop) says, a part of the question's range.

    Memory: the decisions and scores of the part. Read beside them, some at a time: the ids of the decisions
    before it, since a repeated id counts where it came first, and all outcomes.
    """
    return fold_part(log, question, pair_part(log, question, start, stop))


def fold_part(log: Log, question: Question, pairs: PairedPart) -> MeasuredPart:
    """Return the evidence of pairs, with the columns that their metrics read beside them."""
    plan = question.experiment.plan
    took: dict[int, int] = {}
    if LATENCIES[1] in plan.columns:
        from harness.asked_alone import challenger_took  # it loads what opens models

        took = challenger_took(log, question.experiment, up_to=question.scores_up_to)
    table = own_values(completed(pairs.table, plan, took), plan.metrics)
    return MeasuredPart(pairs.account, fold(table, plan), pairs.noise, Columns(pairs.table, table))


def pair_part(
    log: Log, question: Question, start: int, stop: int, known: ReadBefore | None = None
) -> PairedPart:
    """Return the decisions of [start, stop) that count, beside their scores and outcomes.

    What is not `known` is read from the log.
    """
    experiment, as_of = question.experiment, question.as_of
    point, plan = experiment.decision_point, experiment.plan
    own = None if known is None else known.ids_of((start, stop))
    everything = read_decisions(log, experiment, start, stop, None if own is None else own.ids)
    index = IdIndex(ids(everything.column("decision_id"), "decision_id")) if own is None else own
    seen = _seen(index, _before(log, question, (start, stop), known, len(index)))
    decisions = everything.filter(mask_of(~seen)) if seen.any() else everything
    codes = _codes(experiment, decisions, as_of)
    joined = join(
        decisions,
        _outcomes(log, question, known, decisions.num_rows),
        as_of=as_of,
        window=experiment.label_window,
        label=experiment.declared.label.name,
        exclude=pa.array(codes != COUNTED),
        keep_missing=bool(blocking(plan)),
        index=index if decisions is everything else None,
    )
    joined = with_blocked(joined, plan)
    until = question.scores_up_to
    scores = read_scores(log, experiment.challenger.digest, point, start, stop, up_to=until)
    paired = pair(joined, scores, also=beside(plan), errors=errors_column(plan))
    noise, again = None, everything.num_rows
    if experiment.rescore is not None:
        rescored = read_scores(log, experiment.rescore.digest, point, start, stop, up_to=until)
        again = rescored.num_rows
        noise = champion_noise(everything, rescored, experiment.rescore, error=question.rescore_error)
    repeated = everything.num_rows - decisions.num_rows
    account = _account(joined, paired, _left_out(joined, codes), repeated)
    # A score stays as it is, and a decision mature: where none is lacking none can come.
    complete = scores.num_rows == again == everything.num_rows
    settled = complete and not account.open and not account.reasons["immature"]
    return PairedPart(account, noise, paired.table, settled)


def _outcomes(
    log: Log, question: Question, known: ReadBefore | None, rows: int
) -> Iterable[pa.Table | OneLabel]:
    """Return the outcomes that were known at the question's place, for a part of so many rows."""
    if known is not None:
        return known.outcomes_of_label()
    return outcome_tables(log, 1, question.as_of.position + 1, question.experiment.decision_point, rows)


def _before(
    log: Log, question: Question, part: tuple[int, int], known: ReadBefore | None, rows: int
) -> Iterator[IdIndex]:
    """Yield the ids of the decisions before a part of so many rows."""
    if known is not None:
        return known.ids_before(part)
    span = (question.start, part[0])
    return map(IdIndex, earlier_ids(log, *span, question.experiment.decision_point, rows))


def _seen(own: IdIndex, before: Iterable[IdIndex]) -> npt.NDArray[np.bool_]:
    """Return which rows have an id that came before the part: it counts there, and a repeated one nowhere."""
    again = np.zeros(len(own), dtype=np.bool_)
    for earlier in before:
        _names, rows = own.matches(earlier)
        again[rows] = True
    if not again.any():
        return again
    first = own.first_rows()
    again[first[again]] = True
    return again[first]


def _codes(experiment: Experiment, decisions: pa.Table, as_of: AsOf) -> Codes:
    unit = experiment.plan.unit
    return row_codes(
        decisions.column("occurred_at").cast(pa.int64()).to_numpy(),
        experiment.bounds,
        timezone=unit.timezone if unit.kind == "day" else None,
        now=as_of,
        label_window=experiment.label_window,
    )


def _left_out(joined: Joined, codes: Codes) -> dict[int, int]:
    """Return how many decisions each code leaves out; a repeated id is a duplicate before anything else."""
    assert joined.first.size == codes.size, "a part ends where the place in the log does, or before it"
    return {code: int(np.count_nonzero(joined.first & (codes == code))) for code in (OUTSIDE, PARTIAL, OPEN)}


def _account(joined: Joined, paired: Paired, left_out: dict[int, int], repeated: int) -> Account:
    """Return the account of a part of which `repeated` decisions had come before it."""
    others = ("orphan", "other_label")
    total = sum(joined.outcomes.values())
    return Account(
        decisions=joined.rows_in + repeated,
        joined=joined.table.num_rows,
        outside=left_out[OUTSIDE],
        partial=left_out[PARTIAL],
        open=left_out[OPEN],
        scored=paired.scored,
        unscored=paired.unscored,
        failed=paired.failed,
        reasons={**joined.reasons, "duplicate": joined.reasons["duplicate"] + repeated},
        outcomes={name: count for name, count in joined.outcomes.items() if name not in others},
        known=total - joined.outcomes["other_label"],
        other_label=joined.outcomes["other_label"],
    )


def _added(mine: Any, theirs: Any) -> Any:
    """Return the sum of two counts, or of two tables of counts with the same names."""
    return mine + theirs if isinstance(mine, int) else {name: n + theirs[name] for name, n in mine.items()}
