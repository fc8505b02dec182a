"""A training set on disk, and its rows in the words of other libraries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import NotFound
from harness.log.log import Log
from harness.replay_errors import ManifestUnreadable, TrainingSetDiffers
from harness.training import files, frameworks
from harness.training.registry import get_training_set, verify_training_set
from harness.training.spec import spec_of
from recorders.canonical import canonical_json, digest
from recorders.errors import HarnessError
from replay.digest import canonical_digest
from replay.frames import to_frame


class TrainingSet:
    """A training set on disk: `manifest`, `digest`, `id`, `folder`.

    The digest is over values, so it is the same whoever wrote the files, in however many parts.
    """

    def __init__(self, manifest: dict[str, Any], folder: Path) -> None:
        self.manifest = manifest
        self.folder = folder

    @classmethod
    def open(cls, folder: Path | str) -> "TrainingSet":
        """Return the training set in `folder`; nothing of the parts is read yet.

        Raises:
            NotFound: there is no manifest.
        """
        return cls(files.read_manifest(Path(folder)), Path(folder))

    @property
    def id(self) -> str:
        """The name of the set: `ts-` and the first digits of the digest of what it is."""
        return str(self.manifest["id"])

    @property
    def digest(self) -> str:
        """The canonical digest of the values, 64 hex digits."""
        return str(self.manifest["digest"])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows by position, a row group at a time."""
        return files.read_batches(self.folder, self.manifest)

    def to_arrow(self, split: str | None = None) -> pa.Table:
        """Return the rows by position, all of them or those of one `split`."""
        table = pa.Table.from_batches(self.batches())
        return table if split is None else table.filter(pc.equal(table.column("split"), split))

    def to_pandas(self, split: str | None = None) -> pd.DataFrame:
        """Return the rows as a DataFrame with the types that models see when they score."""
        return to_frame(self.to_arrow(split).combine_chunks())

    def to_polars(self, split: str | None = None) -> Any:
        """Return the rows as a polars DataFrame."""
        return frameworks.to_polars(self.to_arrow(split))

    def to_torch(self, *, batch_size: int, columns: Sequence[str] | None = None, **options: Any) -> Any:
        """Return the rows as a PyTorch IterableDataset: see harness.training.torch_rows.TorchRows."""
        return frameworks.to_torch(self, batch_size, columns, **options)

    def to_tf(self, split: str | None = None) -> Any:
        """Return the rows as a tf.data.Dataset of one dict a row."""
        return frameworks.to_tf(self.to_arrow(split))

    def to_hf(self, split: str | None = None) -> Any:
        """Return the rows as a datasets.Dataset that carries our digest as its fingerprint."""
        return frameworks.to_hf(
            self.to_arrow(split), self.digest if split is None else f"{self.digest}-{split}"
        )

    def log_to_mlflow(self, context: str = "training") -> Any:
        """Log the set as an input of the active MLflow run, under our digest."""
        return frameworks.log_to_mlflow(self, context)

    def fold(self, number: int) -> tuple[pa.Table, pa.Table]:
        """Return the training rows and the test rows of fold `number`, from 1.

        Raises:
            NotFound: the set has no such fold. ManifestUnreadable: the manifest's cut is none.
        """
        try:
            split = spec_of(self.manifest["cut"]).split
        except (msgspec.ValidationError, TypeError, HarnessError) as error:
            raise ManifestUnreadable(self.folder / files.MANIFEST, f"its cut is none ({error})") from error
        folds = 0 if split is None or split.folds is None else split.folds
        if split is None or not 1 <= number <= folds:
            raise NotFound("fold", str(number), map(str, range(1, folds + 1)))
        table = self.to_arrow()
        if "fold" not in table.column_names:
            raise ManifestUnreadable(
                self.folder / files.MANIFEST, "its rows have none of the folds it tells of"
            )
        fold = table.column("fold")
        test = table.filter(pc.equal(fold, number))
        if split.by == "unit_folds":
            return table.filter(pc.not_equal(fold, number)), test
        until = pa.scalar(datetime.fromisoformat(self.manifest["folds"][number - 1]["train_until"]))
        return table.filter(pc.less(table.column("occurred_at"), until)), test

    def verify(self, log: Log, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
        """Return what was checked: files against manifest, manifest against log, log against digest.

        Rows that were erased since are told in it: the log no longer has them.

        Raises:
            TrainingSetDiffers: one of them gives other values.
        """
        found = canonical_digest(self.batches())
        if found != self.digest:
            raise TrainingSetDiffers(self.id, "The files", self.digest, found)
        self.check_manifest(get_training_set(log, self.id).body)
        backfill = files.read_backfill(self.folder)
        return verify_training_set(log, self.id, backfill=backfill, files=self.to_arrow, progress=progress)

    def check_manifest(self, registered: Mapping[str, Any]) -> None:
        """Compare the manifest with what was registered.

        Raises:
            TrainingSetDiffers: it claims something else.
        """
        for key, value in registered.items():
            if self.manifest.get(key) != value:
                claimed = digest(canonical_json(self.manifest.get(key)))
                raise TrainingSetDiffers(
                    self.id, f"The manifest's {key!r}", digest(canonical_json(value)), claimed
                )


def named(target: str | Path) -> tuple[str, pa.Table | None]:
    """Return the id of a set named by id or folder, and what the folder keeps of recomputed features."""
    if not (Path(target) / files.MANIFEST).exists():
        return str(target), None
    return TrainingSet.open(target).id, files.read_backfill(Path(target))
