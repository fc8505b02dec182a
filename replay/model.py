"""The model contract: what scores columns, and what is known about it."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import msgspec
import pyarrow as pa


class ModelInfo(msgspec.Struct, frozen=True):
    """What identifies a model and says where it may be evaluated.

    `digest` (64 hex digits) covers whatever decides its scores: artefact, adapter, options and inputs.
    `inputs` are feature names without prefix, in the order in which the model wants them.
    `trained_until`: the last position that its training saw; None when nobody said.
    """

    name: str
    version: str
    digest: str
    adapter: str
    uri: str
    inputs: tuple[str, ...]
    trained_until: int | None = None


class Model(Protocol):
    """Scores columns; one row in, one row out, in the same order."""

    @property
    def info(self) -> ModelInfo:
        """Return what identifies the model."""

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return one score row (`recorders.columns.SCORE_SCHEMA`) for each row of `columns`, ids echoed.

        `columns` holds `decision_position` (int64), `decision_id` and one `f.<input>` per input.
        A row that cannot be scored has an `error` and no score. What is wrong with the whole batch raises.
        """


@runtime_checkable
class StatefulModel(Model, Protocol):
    """A `Model` whose answers depend on the rows that it observed before, key by key.

    `score` answers rows in order and observes each of them: a row sees all rows before it that have its key,
    and not itself. What it knows at a position of the log is thereby a function of the log alone.
    """

    def observe(self, columns: pa.RecordBatch) -> None:
        """Take in rows without scoring them. Raises `StateLost`: what it knows now is unknown."""

    def snapshot(self) -> bytes:
        """Return all that it knows."""

    def restore(self, state: bytes) -> None:
        """Know what a snapshot knew, and nothing else."""

    def reset(self) -> None:
        """Know what it knew when it was loaded."""


@runtime_checkable
class Queues(Model, Protocol):
    """A model that can be given the next blocks while it answers one, each with a call of its own."""

    def score_each(self, blocks: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield what `score` returns for each block, in order; raise what it raises, where it does."""


@runtime_checkable
class Joins(Model, Protocol):
    """A model that can be asked several canonical blocks in one call."""

    def score_joined(self, columns: pa.RecordBatch) -> pa.RecordBatch | None:
        """Return the scores of JOINED whole blocks from one call; None: ask them one by one.

        None when a row lacks an input, when the call fails, and for good once a block that was asked alone
        as well had other bits.
        """
