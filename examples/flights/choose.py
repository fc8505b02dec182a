"""How the challenger's settings, the clips and the bets were chosen: before their windows were looked at.

First the settings: one row each, with the Brier score on April after training on February and March, how
the daily difference to the champion looked (its mean and its spread), and what several sizes of the
largest bet would have made of April. Then the same difference of the two challengers on September, for the
clip of the second experiment. Run `python examples/flights/choose.py`; it takes about a minute.
"""

import itertools

import numpy as np
import pandas as pd

from harness.demo.flights import FEATURES, HOME, build_requests, load_tables
from harness.demo.models import new_challenger, new_champion, train

CLIP = 0.1
HIGHS = (0.3, 0.6, 0.9)
SETTINGS = {
    "learning_rate": (0.03, 0.05, 0.1),
    "max_iter": (100, 200),
    "max_leaf_nodes": (15, 31),
    "min_samples_leaf": (20, 200),
}


def between(requests: pd.DataFrame, start: str, stop: str) -> pd.DataFrame:
    """Return the flights scheduled in [start, stop), local dates, whose outcome is known."""
    first, last = (pd.Timestamp(day, tz=HOME) for day in (start, stop))
    inside = (requests["scheduled"] >= first) & (requests["scheduled"] < last)
    return requests[inside & requests["late"].notna()]


def loss(model: object, rows: pd.DataFrame) -> pd.Series:
    """Return each flight's Brier score under a fitted model."""
    scores = model.predict_proba(rows[list(FEATURES)])[:, 1]  # type: ignore[attr-defined]  # duck-typed
    return (rows["late"] - scores) ** 2


def daily(difference: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Return the mean difference of each local day."""
    return difference.groupby(rows["scheduled"].dt.tz_convert(HOME).dt.date).mean()


def e_value(days: pd.Series, high: float) -> float:
    """Return what sixteen bets up to `high` (a share of the largest possible) made of these days."""
    bets = np.geomspace(0.01, high, 16)[:, None]
    return float(np.exp(np.log1p(bets * days.clip(-CLIP, CLIP).to_numpy() / CLIP).sum(axis=1)).mean())


def settings_on_april(requests: pd.DataFrame) -> None:
    """Print one row for each setting of the first challenger."""
    january = between(requests, "2013-01-01", "2013-01-31")
    spring = between(requests, "2013-02-01", "2013-04-01")
    april = between(requests, "2013-04-01", "2013-05-01")
    champion = loss(train(new_champion(), january, january["late"]), april)
    print(f"April, champion: Brier score {champion.mean():.4f}")
    rows = []
    for values in itertools.product(*SETTINGS.values()):
        settings = dict(zip(SETTINGS, values, strict=True))
        challenger = loss(train(new_challenger(**settings), spring, spring["late"]), april)
        days = daily(champion - challenger, april)
        bets = {f"e, bets to {high}": e_value(days, high) for high in HIGHS}
        figures = {"brier": challenger.mean(), "day mean": days.mean(), "day sd": days.std()}
        rows.append(settings | figures | bets)
    print(pd.DataFrame(rows).sort_values("brier").round(4).to_string(index=False))


def spread_on_september(requests: pd.DataFrame) -> None:
    """Print how far two challengers of one kind are apart, day by day."""
    september = between(requests, "2013-09-01", "2013-10-01")
    losses = []
    for until in ("2013-04-30", "2013-09-01"):
        seen = between(requests, "2013-02-01", until)
        losses.append(loss(train(new_challenger(), seen, seen["late"]), september))
    days = daily(losses[0] - losses[1], september)
    print(f"September, second against first: day mean {days.mean():.4f}, day sd {days.std():.4f}")


if __name__ == "__main__":
    all_requests = build_requests(load_tables())
    settings_on_april(all_requests)
    spread_on_september(all_requests)
