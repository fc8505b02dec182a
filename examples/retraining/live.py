"""The model that is live, for the noise floor and the skew: it must say again what it said."""

import pandas as pd


def score(frame: pd.DataFrame) -> pd.Series:
    """Return 0.1 + 0.8 price."""
    return 0.1 + 0.8 * frame["price"]
