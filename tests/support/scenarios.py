"""Six worlds in which retraining helps, or does not, with the truth known: linear models and trees, seeded.

`none`: nothing changed. `irrelevant`: features without weight moved by 0.6 standard deviations. `harder`: the
population moved to where labels are uncertain, the concept stayed. `concept`: the weights changed. `prior`:
one label became more frequent, features given the label stayed. `tiny`: the weights changed by a trifle.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from policies import Evidence, Plan, fold, plan_from
from policies.contenders import Contender, Facts
from policies.diagnosis import Signs
from policies.drift.reliability import Reliability, calibration_shift
from policies.recalibration import recalibrate
from policies.retrain_rule import RetrainRule
from policies.retraining import Proof, prove

Floats = npt.NDArray[np.float64]
Scenario = Literal["none", "irrelevant", "harder", "concept", "prior", "tiny"]
SCENARIOS: tuple[Scenario, ...] = ("none", "irrelevant", "harder", "concept", "prior", "tiny")
HELPS = {"concept": "retrain", "prior": "recalibrate"}
FEATURES = 10
MARGIN = 0.005  # of the champion's loss
WEIGHTS = np.array([1.2, -1.0, 0.8, -0.6, 0.5, 0.4, 0.0, 0.0, 0.0, 0.0])
PLAN: Plan = plan_from(
    {
        "metrics": [{"name": "log_loss", "epsilon": 0.01, "clip": 1.0}],
        "policy": {"name": "retraining", "alpha": 0.01},
        "retraining": {"margin": 0.002},
    }
)
Scores = Callable[[Floats], Floats]
Fit = Callable[[Floats, Floats], Scores]


class Rows(NamedTuple):
    """Features, shape (rows, FEATURES), and labels 0 and 1."""

    x: Floats
    y: Floats

    def __add__(self, other: Any) -> "Rows":
        return Rows(np.concatenate([self.x, other.x]), np.concatenate([self.y, other.y]))

    def part(self, start: int, stop: int) -> "Rows":
        """Return some of the rows."""
        return Rows(self.x[start:stop], self.y[start:stop])

    def halves(self) -> tuple["Rows", "Rows"]:
        """Return the rows to learn from and those that are held out."""
        half = len(self.y) // 2
        return self.part(0, half), self.part(half, len(self.y))


def draw(rng: np.random.Generator, size: int, scenario: Scenario) -> Rows:
    """Return rows of a world after its change; `none` is the world before."""
    weights, x = WEIGHTS.copy(), rng.standard_normal((4 * size, FEATURES))
    if scenario == "irrelevant":
        x[:, 6:] += 0.6
    if scenario == "harder":
        x[:, :6] *= 0.4
    if scenario == "concept":
        weights[:2] = [0.0, -0.2]
        weights[6] = 0.8
    if scenario == "tiny":
        weights[0] += 0.05
    chance = 1.0 / (1.0 + np.exp(-(x @ weights - 0.5)))
    y = (rng.random(x.shape[0]) < chance).astype(float)
    kept = np.arange(x.shape[0])
    if scenario == "prior":  # keep each positive, and three in five of the others
        kept = np.flatnonzero((y == 1.0) | (rng.random(y.size) < 0.6))
    return Rows(x[kept[:size]], y[kept[:size]])


def linear(x: Floats, y: Floats) -> Scores:
    """Return a logistic regression, lightly shrunk."""
    design = np.column_stack([np.ones(len(x)), x])
    found = np.zeros(design.shape[1])
    for _ in range(8):
        chance = 1.0 / (1.0 + np.exp(-(design @ found)))
        curve = (design.T * (chance * (1.0 - chance))) @ design + 0.1 * np.eye(found.size)
        found -= np.linalg.solve(curve, design.T @ (chance - y) + 0.1 * found)
    return lambda z: 1.0 / (1.0 + np.exp(-(found[0] + z @ found[1:])))


def trees(x: Floats, y: Floats) -> Scores:
    """Return a small gradient boosting."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=25, max_leaf_nodes=8, learning_rate=0.25, early_stopping=False, random_state=0
    ).fit(x, y)
    return lambda z: model.predict_proba(z)[:, 1]


def paired(champion: Floats, challenger: Floats, labels: Floats, plan: Plan = PLAN) -> Evidence:
    """Return the evidence of two models' scores on the same rows."""
    none = pa.nulls(labels.size, pa.string())
    columns = {
        "unit": none,
        "champion_score": champion,
        "challenger_score": challenger,
        "champion_decision": none,
        "challenger_decision": none,
        "label": labels,
    }
    return fold(pa.table(columns), plan)


class Live(NamedTuple):
    """A champion with the old rows: those it learned from, and those apart that its own figures come from."""

    scores: Scores
    seen: Rows
    apart: Rows


def live(fit: Fit, old: Rows) -> Live:
    """Return the champion of these old rows, fitted on four fifths of them."""
    fifth = len(old.y) // 5
    seen = old.part(fifth, len(old.y))
    return Live(fit(*seen), seen, old.part(0, fifth))


def rivals(fit: Fit, champion: Live, learn: Rows) -> dict[str, Scores]:
    """Return the champion's rivals that learned from these rows, by their names in a proof."""
    moved = recalibrate(champion.scores(learn.x), learn.y)
    return {
        "recent": fit(*learn),
        "all": fit(*(champion.seen + learn)),
        "recalibrated": lambda x: moved.apply(champion.scores(x)),
    }


def mean_loss(scores: Floats, labels: Floats) -> float:
    """Return the mean log-loss as the plan clips it."""
    right = np.where(labels == 1.0, scores, 1.0 - scores)
    return float(-np.log(np.clip(right, 0.01, 1.0)).mean())


def margin_of(champion: Live) -> float:
    """Return the margin that is registered: a share of the champion's loss on old rows apart."""
    return MARGIN * mean_loss(champion.scores(champion.apart.x), champion.apart.y)


def tried(
    champion: Live,
    against: dict[str, Scores],
    held: Rows,
    *,
    features: Literal["ok", "drift"] = "ok",
    **facts: Any,
) -> Proof:
    """Return the proof that these rows give, which nobody has learned from."""
    given = {name: scores(held.x) for name, scores in against.items()}
    current, again, apart = champion.scores(held.x), given["recalibrated"], champion.apart
    before = champion.scores(apart.x)
    rule = RetrainRule(margin=margin_of(champion), slice_margin=0.03)
    plan = msgspec.structs.replace(PLAN, retraining=rule)
    side = held.x[:, 0] > 0.0
    contenders = [
        Contender(
            name=name,
            champion=paired(current, scores, held.y, plan),
            rival=None if name == "recalibrated" else paired(again, scores, held.y, plan),
            slices={
                said: paired(current[rows], scores[rows], held.y[rows], plan)
                for said, rows in (("high", side), ("low", ~side))
            },
            trained_until=1000,
        )
        for name, scores in given.items()
    ]
    shift = calibration_shift(Reliability.of(before, apart.y, 0.5), Reliability.of(current, held.y, 0.5))
    signs = Signs(features=features, calibration=(shift.effect, shift.p))
    return prove(plan, around(**facts), contenders, signs)


def around(**changes: Any) -> Facts:
    """Return the facts of a sound comparison, with some of them changed."""
    sound: dict[str, Any] = {
        "broken": (),
        "replayed": 100_000,
        "skewed": 0,
        "matured": 1000,
        "labelled": 950,
        "label_bias": 0.01,
        "label_bias_chance": 0.4,
        "heldout_start": 1001,
        "heldout_stop": 2001,
        "gap_us": 2 * 86_400 * 10**6,
        "window_us": 86_400 * 10**6,
        "read_before": False,
    }
    return Facts(**{**sound, **changes})
