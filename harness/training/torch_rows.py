"""A training set as a PyTorch IterableDataset: batches of tensors, shared by rank and worker, resumable."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import IterableDataset, get_worker_info

from harness.training.errors import StateOfAnother
from harness.training.files import read_manifest

GROUP_ROWS = 65_536


class TorchRows(IterableDataset):  # type: ignore[misc]  # torch ships no types to this environment
    """Yields dicts of tensors, `batch_size` rows each; strings stay lists. For DataLoader(batch_size=None).

    Floats become `dtype`; numbers that may be null, too, with NaN; instants are microseconds. Block k of an
    epoch goes to shard k modulo (ranks x workers), so shards differ by one block at most; with `even` the
    last blocks that would make them differ are left out. With a `seed` the order of row groups, and of rows
    in each, is that of (seed, epoch), the same on every machine.
    """

    def __init__(
        self,
        folder: Path,
        *,
        columns: Sequence[str],
        batch_size: int,
        split: str | None = None,
        seed: int | None = None,
        even: bool = False,
        dtype: Any = torch.float32,
    ) -> None:
        super().__init__()
        self.folder, self.columns, self.batch_size = folder, tuple(columns), batch_size
        self.split, self.seed, self.even, self.dtype = split, seed, even, dtype
        self.manifest = read_manifest(folder)
        self.epoch = self._done = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin another pass over the rows, in the order of that epoch."""
        self.epoch, self._done = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where this copy of the set is: one copy a worker, as a stateful loader keeps them."""
        return {"digest": self.manifest["digest"], "epoch": self.epoch, "done": self._done, "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was: the next batch is the one that would have come.

        Raises:
            StateOfAnother: it is of another set, or of another order.
        """
        for key, own in (("digest", self.manifest["digest"]), ("seed", self.seed)):
            if state.get(key) != own:
                raise StateOfAnother(key, str(state.get(key)), str(own))
        self.epoch, self._done = int(state["epoch"]), int(state["done"])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        index, shards = _shard()
        skip = self._done
        for number, block in enumerate(self._blocks(shards)):
            if number % shards != index:
                continue
            if skip:
                skip -= 1
                continue
            self._done += 1
            yield {name: _tensor(block.column(name), self.dtype) for name in self.columns}
        self._done = 0

    def _blocks(self, shards: int) -> Iterator[pa.RecordBatch]:
        """Yield the blocks of this epoch in order; a row group is in memory at a time."""
        held: list[pa.RecordBatch] = []
        for block in self._all_blocks():
            if not self.even:
                yield block
                continue
            held.append(block)
            if len(held) == shards:
                yield from held
                held = []

    def _all_blocks(self) -> Iterator[pa.RecordBatch]:
        groups = [
            (self.folder / part["file"], group)
            for part in self.manifest["parts"]
            for group in range(pq.ParquetFile(self.folder / part["file"]).num_row_groups)
        ]
        chance = None if self.seed is None else np.random.default_rng([self.seed, self.epoch])
        for place in range(len(groups)) if chance is None else chance.permutation(len(groups)):
            path, group = groups[place]
            names = [*self.columns, *(["split"] if self.split and "split" not in self.columns else [])]
            table = pq.ParquetFile(path).read_row_group(group, columns=names)
            if self.split:
                table = table.filter(pa.compute.equal(table.column("split"), self.split))
            if chance is not None:
                table = table.take(chance.permutation(table.num_rows))
            yield from table.combine_chunks().to_batches(max_chunksize=self.batch_size)


def _shard() -> tuple[int, int]:
    """Return which share of the blocks this process takes, and how many shares there are."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank, ranks = (
        (torch.distributed.get_rank(), torch.distributed.get_world_size()) if distributed else (0, 1)
    )
    worker = get_worker_info()
    if worker is None:
        return rank, ranks
    return rank * worker.num_workers + worker.id, ranks * worker.num_workers


def _tensor(column: pa.Array, dtype: Any) -> Any:
    kind = column.type
    if pa.types.is_timestamp(kind):
        column, kind = column.cast(pa.int64()), pa.int64()
    if pa.types.is_floating(kind) or (
        column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind))
    ):
        numbers = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
        values = numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return torch.tensor(values, dtype=dtype)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return torch.tensor(column.to_numpy(zero_copy_only=False))
    return column.to_pylist()
