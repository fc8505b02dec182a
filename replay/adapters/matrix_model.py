"""Models of libraries that take a matrix of numbers and answer with one: what their adapters share."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from replay.adapters.answers import Answer, Output, read_answer
from replay.adapters.forms import matrix
from replay.adapters.guard import guard
from replay.adapters.python import column_of
from replay.adapters.uri import ModelUri
from replay.loading_errors import ModelNotLoaded

# A value that is a category is read as its code, without a word: 200 as the 200th, where it is the second.
OF_CATEGORIES = (
    "it was trained on columns that pandas calls categories and reads their codes, which recorded rows do "
    "not have; train it on columns of numbers, codes of your own for instance"
)


def matrix_call(uri: ModelUri, predict: Callable[[Any], Any]) -> Callable[[pa.RecordBatch], Answer]:
    """Return the call that hands `predict` the rows as float64, a null as NaN."""
    output = Output.of(uri.options, column_of(uri))
    return lambda block: read_answer(predict(matrix(block)), output, block.num_rows)


def loaded_by(uri: ModelUri, library: str, load: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a library's own loader makes of the artefact.

    Raises:
        ModelNotLoaded: it makes nothing of it.
    """
    found, failed = guard(load, *arguments)
    if failed is not None:
        raise ModelNotLoaded(uri.text, f"{library} does not load it: {failed.reason}")
    return found
