"""A model that remembers, in this very process."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from replay.adapters.adapter import Memory
from replay.adapters.block_model import BlockModel
from replay.adapters.guard import guard
from replay.adapters.in_order import observe_in_order, score_in_order
from replay.model_errors import StateLost


class RememberingBlocks:
    """A `replay.model.StatefulModel` of a model that answers block by block and its memory."""

    def __init__(self, model: BlockModel, key: str, memory: Memory) -> None:
        self.info = model.info
        self._model, self._key, self._memory = model, key, memory
        self._loaded = self.snapshot()

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return one score row for each row, and observe it. Raises `StateLost` when it cannot."""
        return score_in_order(columns, self._key, self._model.score, self._observe)

    def observe(self, columns: pa.RecordBatch) -> None:
        """Take in rows without scoring them. Raises `StateLost` when it cannot."""
        observe_in_order(columns, self._key, self._observe)

    def snapshot(self) -> bytes:
        """Return all that it knows. Raises `StateLost` when it cannot."""
        state: bytes = self._guarded("snapshot", self._memory.snapshot)
        return state

    def restore(self, state: bytes) -> None:
        """Know what a snapshot knew, and nothing else. Raises `StateLost` when it cannot."""
        self._guarded("restore", self._memory.restore, state)

    def reset(self) -> None:
        """Know what it knew when it was loaded."""
        self.restore(self._loaded)

    def _observe(self, columns: pa.RecordBatch) -> None:
        features = self._model.complete(columns)
        if features.num_rows:
            self._guarded("observe", self._memory.observe, features)

    def _guarded(self, doing: str, call: Callable[..., Any], *given: Any) -> Any:
        result, failed = guard(call, *given)
        if failed is not None:
            raise StateLost(self.info.name, doing, failed.reason)
        return result
