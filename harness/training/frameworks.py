"""A training set in the words of other libraries; each is imported when it is asked for, none is required."""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from harness.training.errors import FrameworkMissing

if TYPE_CHECKING:
    from harness.training.folder import TrainingSet

_MLFLOW = {
    "double": "double",
    "int64": "long",
    "bool": "boolean",
    "string": "string",
    "timestamp[us, tz=UTC]": "datetime",
}
_MLFLOW_DIGEST = 36  # as many characters as its store has room for
_OWN = ("decision_id", "position", "occurred_at", "split", "fold")


def to_polars(rows: pa.Table) -> Any:
    """Return the rows as a polars DataFrame."""
    return _library("polars", "to_polars").from_arrow(rows)


def to_hf(rows: pa.Table, digest: str) -> Any:
    """Return the rows as a datasets.Dataset whose fingerprint is our digest; nothing is copied."""
    datasets = _library("datasets", "to_hf")
    return datasets.Dataset(datasets.table.InMemoryTable(rows), fingerprint=digest)


def to_torch(made: "TrainingSet", batch_size: int, columns: Sequence[str] | None, **options: Any) -> Any:
    """Return the set as an IterableDataset of batches: see harness.training.torch_rows.

    Without `columns` they are all but the id, the places and the split.
    """
    _library("torch", "to_torch")
    module = importlib.import_module("harness.training.torch_rows")
    wanted = [name for name in made.manifest["columns"] if name not in _OWN] if columns is None else columns
    return module.TorchRows(made.folder, columns=wanted, batch_size=batch_size, **options)


def to_tf(rows: pa.Table) -> Any:
    """Return the rows as a tf.data.Dataset of one dict a row; nulls of numbers are NaN, of strings ""."""
    tensorflow = _library("tensorflow", "to_tf")
    columns = {}
    for name in rows.schema.names:
        column = rows.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        if pa.types.is_string(column.type):
            columns[name] = column.fill_null("").to_numpy()
        elif column.null_count:
            columns[name] = column.cast(pa.float64(), safe=False).to_numpy()
        else:
            columns[name] = column.to_numpy()
    return tensorflow.data.Dataset.from_tensor_slices(columns)


def log_to_mlflow(made: "TrainingSet", context: str = "training") -> Any:
    """Return the input that was logged to the active MLflow run: our digest and id, the folder its source.

    MLflow's own digest covers the first rows only and leaves columns out. Ours is longer than it shows, so
    the run's tag `training_set.digest` has all of it.
    """
    mlflow = _library("mlflow", "log_to_mlflow")
    source = importlib.import_module("mlflow.data.sources").LocalArtifactDatasetSource(
        str(made.folder.resolve())
    )
    types = importlib.import_module("mlflow.types")
    columns = [
        types.ColSpec(_MLFLOW.get(kind, "string"), name) for name, kind in made.manifest["columns"].items()
    ]
    meta = importlib.import_module("mlflow.data.meta_dataset")
    dataset = meta.MetaDataset(
        source, name=made.id, digest=made.digest[:_MLFLOW_DIGEST], schema=types.Schema(columns)
    )
    mlflow.log_input(dataset, context=context)
    mlflow.set_tags({"training_set.id": made.id, "training_set.digest": made.digest})
    return dataset


def _library(name: str, wanted: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FrameworkMissing(name, wanted) from error
