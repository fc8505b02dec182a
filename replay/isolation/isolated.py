"""A challenger as a `Model`: its own process, a circuit breaker and an account."""

import math
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

import pyarrow as pa

from replay.adapters.adapter import Artefact
from replay.adapters.answers import Answer
from replay.adapters.block_model import JoinedCalls, Outcome, answer_in
from replay.adapters.guard import CallFailed
from replay.adapters.http_client import token_of
from replay.adapters.opening import ModelSpec, block_model, info_of, inputs_of
from replay.adapters.reasons import TIMEOUT, UNAVAILABLE, reason_code
from replay.adapters.uri import parse_uri
from replay.isolation.account import Account
from replay.isolation.limits import Limits
from replay.isolation.messages import Measured, Opening
from replay.isolation.process import ChildProcess
from replay.model_errors import ChallengerEnded, ModelError, ModelUnavailable
from replay.score import BLOCK_ROWS

# Kills in a row, with no answer ever in between, after which nobody waits for another: one bad first row
# takes eleven to find.
HOPELESS = 12
KILLS_PER_BLOCK_SHARE = 8
# Single rows are asked alone, for a latency that compares with a service's: four of the first block, then one
# of every thirty-second. More would cost a fast model more than it tells.
PROBE_EVERY = 32
PROBE_ROWS = (4, 1)
PROBE_AMONG = 64
# What loading a model of a kind imports in any case.
LIBRARIES = {"sklearn": ("skops.io", "sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline")}


class Alone(NamedTuple):
    """One row that was asked alone: the microseconds it took, None where `why` says why nobody knows."""

    position: int
    took_us: int | None
    why: str = ""


class IsolatedModel:
    """A `Model` whose code runs in a process of its own. Close it, or use it as a context.

    A hang, a crash or a swelling costs the rows that cause it; a model that does nothing else is stopped
    for good (`ChallengerEnded`).
    """

    def __init__(self, spec: ModelSpec, held: Artefact, limits: Limits) -> None:
        self.account = Account()
        self._limits = limits
        self._remote = parse_uri(spec.uri).remote
        self._opening = Opening(
            spec.uri,
            spec.version,
            spec.inputs,
            held.digest,
            held.path,
            held.content,
            token_of(parse_uri(spec.uri)),
        )
        self._scored = 0
        self._process: ChildProcess | None = None
        self._cpu_us = 0
        self._unanswered = 0
        self._answered: pa.RecordBatch | None = None
        self._last = ""
        self._told = JoinedCalls()
        # From then on (by the monotonic clock) the first end of its process is the last one.
        self.patience_ends = math.inf
        self._warm: ChildProcess | None = None
        try:
            own = self._start()
            self.info = info_of(spec, held, inputs_of(spec, own))
        except ModelError:
            self.close()
            raise
        self._model = block_model(self.info, self._call)

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return one score row for each row; see `replay.model.Model`.

        Raises:
            ChallengerEnded: its process had to be ended too often.
            ModelUnavailable: the server that scores does not answer.
        """
        (scores,) = self._each([columns])
        return scores

    def score_each(self, blocks: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the scores of each block; see `replay.model.Queues`.

        Raises:
            ChallengerEnded, ModelUnavailable: as `score`.
        """
        return self._each(blocks)

    def _each(self, blocks: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = self._model.score_through(blocks, self._outcomes)
        for columns in blocks:
            try:
                scores = next(found)
            except ModelUnavailable:
                self._check()
                raise
            self._check()
            if self._scored % PROBE_EVERY == 0:
                self._probe(columns, scores.column("error").is_null())
            self._scored += 1
            yield scores

    def score_joined(self, columns: pa.RecordBatch) -> pa.RecordBatch | None:
        """Return the scores of whole blocks from one call; see `replay.model.Joins`.

        Raises:
            ChallengerEnded: as `score`.
        """
        scores = self._model.score_joined(columns)
        self.account.join(self._model.joined.since(self._told))
        self._check()
        return scores

    def take_account(self) -> Account:
        """Return the account since this was asked last: the next one begins at nothing."""
        taken, self.account = self.account, Account()
        self._told = self._model.joined.since(JoinedCalls())
        return taken

    @property
    def resident_mb(self) -> int:
        """How many megabytes its process holds now, with all that it started; 0 when it has none."""
        return 0 if self._process is None else self._process.resident_mb

    @property
    def joined(self) -> JoinedCalls:
        """What was seen of calls that held several blocks."""
        return self._model.joined

    def _probe(self, columns: pa.RecordBatch, scored: pa.BooleanArray) -> None:
        """Measure the latency of a few of the rows that were scored, each asked alone."""
        features = self._model.features(columns)
        rows = (at for at in range(min(columns.num_rows, PROBE_AMONG)) if scored[at].as_py())
        for at in islice(rows, PROBE_ROWS[self._scored > 0]):
            for _outcome, measured in self._asked([features.slice(at, 1)], probe=True):
                if measured is not None and measured.failure is None:
                    self.account.sample(columns.column("decision_position")[at].as_py(), measured.call_us)

    def ask_alone(self, columns: pa.RecordBatch) -> Iterator[Alone]:
        """Yield what each row took when it was asked alone, in their order.

        A process that has just begun is asked once before anything counts: its first call is slower.

        Raises:
            ChallengerEnded: its process had to be ended too often.
        """
        features, known = self._model.features(columns), None
        for at, position in enumerate(columns.column("decision_position").to_pylist()):
            row = features.slice(at, 1)
            if self._warm is None or self._warm is not self._process:
                self._one(row if known is None else known)
                self._warm = self._process
            began = time.monotonic()
            measured, why = self._one(row)
            self._check()
            if measured is None:
                yield Alone(position, None, why)
                continue
            known = row
            most = int((time.monotonic() - began) * 1e6)  # the child says what it took, and may say anything
            yield Alone(position, measured.call_us if 0 <= measured.call_us <= most else most)

    def _one(self, row: pa.RecordBatch) -> tuple[Measured | None, str]:
        """Return what was measured of a row that was answered, else None and why it was not."""
        (((_answer, failed), measured),) = self._asked([row], probe=True)
        if failed is not None:
            return None, failed.reason
        assert measured is not None, "what is answered is measured"
        return measured, ""

    def close(self) -> None:
        """End its process."""
        self._retire()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._hopeless():
            raise ChallengerEnded(self.info.name, self.account.blocks.count, self.account.kills, self._last)

    def _hopeless(self) -> bool:
        kills = sum(self.account.kills.values())
        allowed = max(self._limits.kills_max, self.account.blocks.count // KILLS_PER_BLOCK_SHARE)
        if kills and time.monotonic() > self.patience_ends:
            return True
        return kills > allowed or (self.account.blocks.count == 0 and self._unanswered >= HOPELESS)

    def _call(self, block: pa.RecordBatch) -> Answer:
        return answer_in(self._outcomes([block])[0])

    def _outcomes(self, blocks: Sequence[pa.RecordBatch]) -> list[Outcome]:
        """Return what the call of each block gave; those after one that ended the process are left out."""
        if self._remote:  # a server that is away is asked about one block, and no others wait behind it
            blocks = blocks[:1]
        asked = self._asked(blocks)
        for block, (_outcome, measured) in zip(blocks, asked, strict=False):
            if measured is not None and measured.failure is None:
                calls = max(1, block.num_rows // BLOCK_ROWS)  # what remembers has smaller calls
                for _ in range(calls):
                    self.account.blocks.add(measured.call_us // calls)
        return [outcome for outcome, _measured in asked]

    def _asked(
        self, blocks: Sequence[pa.RecordBatch], *, probe: bool = False
    ) -> list[tuple[Outcome, Measured | None]]:
        if self._hopeless():
            return [((None, CallFailed(self._last, whole=True)), None)]
        found = list[tuple[Outcome, Measured | None]]()
        try:
            if self._process is None:
                self._start()
            assert self._process is not None, "it was just started"
            for answer, measured in self._process.score(blocks, probe=probe):
                self._note(measured)
                why = measured.failure
                if why is not None and measured.spent:
                    found.append(((None, self._killed(CallFailed(why, killed=True))), measured))
                    break  # what was asked behind it is asked of the next process
                self._unanswered = 0
                failed = None if why is None else CallFailed(why, whole=measured.whole)
                found.append(((answer, failed), measured))
                if self._remote and why is None and self._answered is None and not probe:
                    self._answered = blocks[len(found) - 1]
        except ModelError as error:  # it does not load again
            found.append(((None, self._killed(CallFailed(error.happened, killed=True, whole=True))), None))
        except CallFailed as failed:
            found.append(((None, self._killed(failed)), None))
        (answer, missed), cost = found[-1]
        if missed is not None and self._answered is not None:
            found[-1] = (answer, self._told_apart(missed)), cost
        if self._cpu_us > self._limits.cpu_s * 500_000:  # half of it: a fresh process goes on
            self._retire()
        return found

    def _told_apart(self, failed: CallFailed) -> CallFailed:
        """Return why a server gave no answer: away, if it has none to rows answered before either.

        No row is to blame for that, and no cut of them would do better; else these rows are what it fails on.
        """
        if not failed.reason.startswith((TIMEOUT, UNAVAILABLE)):
            return failed
        known, self._answered = self._answered, None  # it is asked once
        assert known is not None, "who asks has seen it"
        (((_answer, again), _measured),) = self._asked([known], probe=True)
        self._answered = known
        if again is None:
            return CallFailed(failed.reason.removeprefix(UNAVAILABLE), killed=True)
        return CallFailed(again.reason, whole=True)

    def _start(self) -> tuple[str, ...] | None:
        """Load the model in a new process; return the inputs that it names itself."""
        self._process, self._cpu_us = (
            ChildProcess(self._limits, LIBRARIES.get(parse_uri(self._opening.uri).scheme, ())),
            0,
        )
        self.account.starts += 1
        opened = self._process.open(self._opening)
        self.account.sandbox = opened.sandbox
        return opened.inputs

    def _killed(self, failed: CallFailed) -> CallFailed:
        code = reason_code(failed.reason)
        self.account.kills[code] = self.account.kills.get(code, 0) + 1
        self._unanswered += 1
        self._last = failed.reason
        self._retire()
        return failed

    def _retire(self) -> None:
        if self._process is not None:
            self.account.noise_bytes += self._process.noise_bytes
            self._process.end()
            self._process = None

    def _note(self, measured: Measured) -> None:
        self.account.note(measured)
        self.account.cpu_us += measured.cpu_us - self._cpu_us
        self._cpu_us = measured.cpu_us
