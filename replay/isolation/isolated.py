"""A challenger as a `Model`: its own process, a circuit breaker and an account."""

from itertools import islice
from types import TracebackType
from typing import Self

import pyarrow as pa

from replay.adapters.adapter import Artefact
from replay.adapters.answers import Answer
from replay.adapters.block_model import JoinedCalls
from replay.adapters.guard import CallFailed, guard
from replay.adapters.http_client import token_of
from replay.adapters.opening import ModelSpec, block_model, info_of, inputs_of
from replay.adapters.reasons import reason_code
from replay.adapters.uri import parse_uri
from replay.errors import ChallengerEnded, ModelError, ModelUnavailable
from replay.isolation.account import Account
from replay.isolation.limits import Limits
from replay.isolation.messages import Measured, Opening
from replay.isolation.process import ChildProcess
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


class IsolatedModel:
    """A `Model` whose code runs in a process of its own. Close it, or use it as a context.

    A hang, a crash or a swelling costs the rows that cause it; a model that does nothing else is stopped
    for good (`ChallengerEnded`).
    """

    def __init__(self, spec: ModelSpec, held: Artefact, limits: Limits) -> None:
        self.account = Account()
        self._limits = limits
        self._asked = Opening(
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
        self._last = ""
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
        try:
            scores = self._model.score(columns)
        except ModelUnavailable:
            self._check()
            raise
        self._check()
        if self._scored % PROBE_EVERY == 0:
            self._probe(columns, scores.column("error").is_null())
        self._scored += 1
        return scores

    def score_joined(self, columns: pa.RecordBatch) -> pa.RecordBatch | None:
        """Return the scores of whole blocks from one call; see `replay.model.Joins`.

        Raises:
            ChallengerEnded: as `score`.
        """
        scores = self._model.score_joined(columns)
        self.account.join(self._model.joined)
        self._check()
        return scores

    @property
    def joined(self) -> JoinedCalls:
        """What was seen of calls that held several blocks."""
        return self._model.joined

    def _probe(self, columns: pa.RecordBatch, scored: pa.BooleanArray) -> None:
        """Measure the latency of a few of the rows that were scored, each asked alone."""
        features = self._model.features(columns)
        rows = (at for at in range(min(columns.num_rows, PROBE_AMONG)) if scored[at].as_py())
        for at in islice(rows, PROBE_ROWS[self._scored > 0]):
            result, failed = guard(self._ask, features.slice(at, 1), True)  # noqa: FBT003  a probe
            if failed is None:
                self.account.sample(columns.column("decision_position")[at].as_py(), result[1].call_us)

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
        return kills > allowed or (self.account.blocks.count == 0 and self._unanswered >= HOPELESS)

    def _call(self, block: pa.RecordBatch) -> Answer:
        answer, measured = self._ask(block, False)  # noqa: FBT003  no probe
        blocks = max(1, block.num_rows // BLOCK_ROWS)  # what remembers has smaller calls
        for _ in range(blocks):
            self.account.blocks.add(measured.call_us // blocks)
        assert answer is not None, "what failed was raised"
        return answer

    def _ask(self, block: pa.RecordBatch, probe: bool) -> tuple[Answer | None, Measured]:
        if self._hopeless():
            raise CallFailed(self._last, whole=True)
        try:
            if self._process is None:
                self._start()
            assert self._process is not None, "it was just started"
            answer, measured = self._process.score(block, probe=probe)
        except ModelError as error:  # it does not load again
            raise self._killed(CallFailed(error.happened, killed=True, whole=True)) from error
        except CallFailed as failed:
            raise self._killed(failed) from failed
        self._unanswered = 0
        self._note(measured)
        if measured.failure is not None:
            raise CallFailed(measured.failure, whole=measured.whole)
        return answer, measured

    def _start(self) -> tuple[str, ...] | None:
        """Load the model in a new process; return the inputs that it names itself."""
        self._process, self._cpu_us = (
            ChildProcess(self._limits, LIBRARIES.get(parse_uri(self._asked.uri).scheme, ())),
            0,
        )
        self.account.starts += 1
        opened = self._process.open(self._asked)
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
        if measured.cpu_us > self._limits.cpu_s * 500_000:  # half of it: a fresh process goes on
            self._retire()
