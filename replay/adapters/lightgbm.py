"""`lightgbm:file.txt`: a booster from LightGBM's own text, predicted on one thread."""

from replay.adapters.adapter import Artefact, Loaded, read_file
from replay.adapters.matrix_model import OF_CATEGORIES, loaded_by, matrix_call
from replay.adapters.uri import ModelUri
from replay.loading_errors import LibraryMissing, ModelNotLoaded
from replay.model_errors import UntrustedModel

VERSION = 1
read = read_file
_BEGINS = b"tree\n"


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the booster as a model; names that LightGBM made up itself (Column_0) are none.

    Raises:
        ModelNotLoaded: it reads codes of pandas categories, which the rows of a snapshot do not have.
    """
    if not held.content.startswith(_BEGINS):
        raise UntrustedModel(uri.text, ["no model of LightGBM's text format"])
    try:
        import lightgbm
    except ImportError as error:
        raise LibraryMissing(uri.text, str(error.name), "lightgbm") from error
    text = held.content.decode(errors="strict")
    booster = loaded_by(uri, "lightgbm", lambda: lightgbm.Booster(model_str=text))
    if booster.pandas_categorical:
        raise ModelNotLoaded(uri.text, OF_CATEGORIES)
    names = tuple(booster.feature_name())
    made_up = names == tuple(f"Column_{at}" for at in range(len(names)))
    return Loaded(
        None if made_up else names, matrix_call(uri, lambda rows: booster.predict(rows, num_threads=1))
    )
