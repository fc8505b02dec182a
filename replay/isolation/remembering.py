"""A challenger that remembers, in its own process: what it knew outlives the process."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from replay.adapters.adapter import Artefact
from replay.adapters.guard import CallFailed
from replay.adapters.in_order import observe_in_order, score_in_order
from replay.adapters.opening import ModelSpec, check_key
from replay.isolation import wire
from replay.isolation.isolated import IsolatedModel
from replay.isolation.limits import Limits
from replay.isolation.messages import Packer
from replay.model_errors import ModelError, StateLost

# A new process is given the last snapshot and what was observed since; after as much as this, the next one.
SINCE_ROWS, SINCE_BATCHES = 65_536, 1_024
_DOING = {wire.OBSERVE: "observe", wire.SNAPSHOT: "snapshot", wire.RESTORE: "restore"}


class RememberingModel(IsolatedModel):
    """A `replay.model.StatefulModel` whose code runs in a process of its own.

    A row that it cannot score costs its process and that row's score, never what it knows: the next process
    is given the last snapshot and the rows that were observed since.
    """

    def __init__(self, spec: ModelSpec, held: Artefact, limits: Limits, *, key: str) -> None:
        self._key = key
        self._base: bytes | None = None
        self._since: list[bytes] = []
        self._since_rows = 0
        super().__init__(spec, held, limits)
        try:
            check_key(self.info.uri, key, self.info.inputs)
            self._loaded = self._tell(wire.SNAPSHOT)
        except ModelError:
            self.close()
            raise

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return one score row for each row, and observe it; see `replay.model.StatefulModel`.

        Raises:
            ChallengerEnded: its process had to be ended too often.
            StateLost: it failed in `observe`.
        """
        return score_in_order(columns, self._key, super().score, self._observe)

    def score_each(self, blocks: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the scores of each block, asked when those before it were observed. Raises as `score`."""
        return map(self.score, blocks)

    def score_joined(self, columns: pa.RecordBatch) -> None:
        """Return None: a row is asked when those before it were observed, never in one call with them."""

    def observe(self, columns: pa.RecordBatch) -> None:
        """Take in rows without scoring them.

        Raises:
            StateLost: it failed in `observe`.
        """
        observe_in_order(columns, self._key, self._observe)

    def snapshot(self) -> bytes:
        """Return all that it knows.

        Raises:
            StateLost: it failed, or knows more than 512 MB.
        """
        return self._rebase(self._tell(wire.SNAPSHOT))

    def restore(self, state: bytes) -> None:
        """Know what a snapshot knew, and nothing else.

        Raises:
            StateLost: it failed in `restore`.
        """
        self._tell(wire.RESTORE, state)
        self._rebase(state)

    def reset(self) -> None:
        """Know what it knew when it was loaded."""
        self.restore(self._loaded)

    def _observe(self, columns: pa.RecordBatch) -> None:
        features = self._model.complete(columns)
        if not features.num_rows:
            return
        payload = b"".join(Packer().pieces(features))
        self._tell(wire.OBSERVE, payload)
        self._since.append(payload)
        self._since_rows += features.num_rows
        if self._since_rows >= SINCE_ROWS or len(self._since) >= SINCE_BATCHES:
            self.snapshot()

    def _rebase(self, state: bytes) -> bytes:
        self._base, self._since, self._since_rows = state, [], 0
        return state

    def _tell(self, kind: int, payload: bytes = b"") -> bytes:
        """Return the reply; a process that ends over it is followed by one other that is asked again."""
        for again in (True, False):
            try:
                if self._process is None:
                    self._start()
                assert self._process is not None, "it was just started"
                return self._process.remember(kind, payload)
            except CallFailed as failed:
                if failed.killed:
                    self._killed(failed)
                if not (again and failed.killed):
                    raise StateLost(self.info.name, _DOING[kind], failed.reason) from failed
        raise AssertionError("the second turn returns or raises")

    def _start(self) -> tuple[str, ...] | None:
        own = super()._start()
        assert self._process is not None, "it was just started"
        known = [] if self._base is None else [(wire.RESTORE, self._base)]
        for kind, payload in known + [(wire.OBSERVE, seen) for seen in self._since]:
            self._process.remember(kind, payload)
        return own
