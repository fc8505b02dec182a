"""The models of the demo: one legacy logistic regression and one kind of challenger.

Neither was tuned on a month that it is judged on: `examples/flights/choose.py` shows how the challenger's
settings and the size of the bets were chosen, on April, with training on February and March.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from harness.demo.errors import DemoDataMissing
from harness.demo.flights import FEATURES

CATEGORIES = ("carrier", "origin", "destination")
CYCLES = ("hour", "weekday")
NUMBERS = tuple(name for name in FEATURES if name not in CATEGORIES + CYCLES)
CHALLENGER = {"learning_rate": 0.03, "max_iter": 100, "max_leaf_nodes": 31, "min_samples_leaf": 200}


def new_champion() -> Any:
    """Return an unfitted logistic regression on all FEATURES; library defaults throughout.

    Its design matrix stays sparse: sparse rows are summed one by one, so a flight gets the same bits
    however many others are scored with it. (A dense product sums in an order that depends on the number
    of rows, and the noise floor shows it.)
    """
    try:
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler
    except ImportError as error:
        raise DemoDataMissing("scikit-learn") from error
    numbers = Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    columns = ColumnTransformer(
        [
            ("kinds", OneHotEncoder(handle_unknown="ignore"), [*CATEGORIES, *CYCLES]),
            ("numbers", numbers, list(NUMBERS)),
        ],
        sparse_threshold=1.0,
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=1000))])


def new_challenger(**settings: float) -> Any:
    """Return an unfitted gradient boosting on all FEATURES; `settings` replace those of CHALLENGER.

    Missing values are the model's own business: gaps stay gaps, and an airline or airport that was never
    seen in training counts as one. Codes of kinds are split like numbers: telling the model that they are
    kinds gained 0.0002 of Brier score on April, and put a callable into the model's file.
    """
    try:
        from sklearn.compose import ColumnTransformer
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import OrdinalEncoder
    except ImportError as error:
        raise DemoDataMissing("scikit-learn") from error
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    columns = ColumnTransformer(
        [("kinds", codes, list(CATEGORIES)), ("numbers", "passthrough", [*CYCLES, *NUMBERS])]
    )
    boosting = HistGradientBoostingClassifier(
        early_stopping=False,
        random_state=0,
        **(CHALLENGER | settings),
    )
    return Pipeline([("columns", columns), ("model", boosting)])


def train(model: Any, rows: pd.DataFrame, label: pd.Series) -> Any:
    """Return the model fitted on FEATURES of the rows whose label (1.0, 0.0 or NaN) is known."""
    known = label.notna()
    return model.fit(rows.loc[known, list(FEATURES)], label[known].astype("int64"))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let numerical libraries keep to one thread meanwhile.

    Boosting asks for all cores for each of its hundred trees and 1,024 rows, and its threads wait for one
    another by spinning: on a machine that has something else to do, ten times as long.
    """
    try:
        import sklearn.ensemble  # noqa: F401  # what is not loaded yet cannot be limited
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types
    except ImportError as error:
        raise DemoDataMissing("scikit-learn") from error
    with threadpool_limits(1):
        yield


def save(model: Any, path: Path) -> Path:
    """Write the fitted model as skops (no pickle: it is loaded against an allow-list); return the path."""
    try:
        import skops.io
    except ImportError as error:
        raise DemoDataMissing("skops") from error
    skops.io.dump(model, path)
    return path
