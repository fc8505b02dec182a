"""`xgboost:file.ubj` or `.json`: a booster from XGBoost's own formats, predicted on one thread."""

from typing import Any

from replay.adapters.adapter import Artefact, Loaded, read_file
from replay.adapters.matrix_model import OF_CATEGORIES, loaded_by, matrix_call
from replay.adapters.uri import ModelUri
from replay.loading_errors import LibraryMissing, ModelNotLoaded
from replay.model_errors import UntrustedModel

VERSION = 1
read = read_file
_BEGINS = (b"{",)  # both formats; the old binary one could be made to read beyond its end


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the booster as a model, with the feature names that it was trained with, if it was with any.

    Raises:
        ModelNotLoaded: it would score otherwise than what it was saved from.
    """
    if not held.content.startswith(_BEGINS):
        raise UntrustedModel(uri.text, ["no model of XGBoost's JSON or UBJ format"])
    try:
        import xgboost
    except ImportError as error:
        raise LibraryMissing(uri.text, str(error.name), "xgboost") from error

    def read_booster() -> Any:
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(held.content))
        return booster

    booster = loaded_by(uri, "xgboost", read_booster)
    otherwise = _scores_otherwise(booster)
    if otherwise:
        raise ModelNotLoaded(uri.text, otherwise)
    names = booster.feature_names

    def predict(rows: Any) -> Any:
        return booster.predict(xgboost.DMatrix(rows, feature_names=names, nthread=1))

    return Loaded(None if names is None else tuple(names), matrix_call(uri, predict))


def _scores_otherwise(booster: Any) -> str:
    """Return why a booster would score otherwise than what it was saved from; empty when it does not."""
    categories = getattr(booster, "get_categories", lambda: None)()  # since XGBoost 3.1
    if categories is not None and not categories.empty():
        return OF_CATEGORIES
    best = booster.attr("best_iteration")
    # XGBClassifier and its like stop predicting at their best round, a booster goes on to its last.
    if booster.attr("scikit_learn") and best is not None and int(best) + 1 < booster.num_boosted_rounds():
        used = f"its estimator predicts with {int(best) + 1} of {booster.num_boosted_rounds()} rounds"
        return f"{used}; write model.get_booster()[: model.best_iteration + 1].save_model(...)"
    return ""
