"""Which weights the rows of a set have, from what the log says of how they came to be seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.log import Log
from harness.training.borrowed import Scores, scores_of
from harness.training.spec import Spec
from replay.errors import WeightsUnusable
from replay.join import LATE, MISSING
from replay.matching import Flags, Floats
from replay.ranges import AsOf
from replay.training import Chosen
from replay.weights import Weights, chances, doubly_robust, weighed

NAMED = 5


@dataclass(frozen=True, slots=True)
class Weighing:
    """The rows with their weights before any is cut, and what the weights changed of the account."""

    used: Flags
    counts: dict[str, int]
    plan: Weights | None = None
    weight: Floats | None = None
    reward: Floats | None = None

    def columns(self, found: Chosen, rows: Flags) -> tuple[dict[str, pa.Array], dict[str, Any]]:
        """Return `weight` and, of dr, `label_dr` for `rows`, and the account of the weights."""
        if self.weight is None:
            return {}, {}
        done = weighed(self.weight[rows], self.plan)
        columns = {"weight": pa.array(done.weight)}
        if self.reward is not None:
            label = found.labels[0][1].value[rows]
            columns["label_dr"] = pa.array(doubly_robust(label, self.reward[rows], done.weight))
        return columns, {"weights": done.account}


def weighing(log: Log, spec: Spec, as_of: AsOf, keys: pa.Table, found: Chosen) -> Weighing:
    """Return the weights of every decision row that counts: of maturity, inclusion and policy, multiplied.

    Raises:
        WeightsUnusable: a row lacks what its weight is made of.
    """
    plan, used, counts = spec.weights, found.used, found.counts
    weight = np.ones(used.size)
    for _rule, label in found.labels:
        if label.weight is not None:
            weight = weight * label.weight
    if plan is None:
        plain = all(label.weight is None for _rule, label in found.labels)
        return Weighing(used, counts, None, None if plain else weight)
    reward = None
    if plan.policy is not None:
        used, counts, acts, reward = _policy(log, spec, as_of, keys, found)
        propensity = _numbers(keys, "propensity")
        weight = np.where(acts, weight * chances(propensity, used & acts, "propensity"), 0.0)
    if plan.inclusion:
        weight = weight * chances(_numbers(keys, "inclusion"), used, "inclusion probability")
    return Weighing(used, counts, plan, weight, reward)


def _policy(
    log: Log, spec: Spec, as_of: AsOf, keys: pa.Table, found: Chosen
) -> tuple[Flags, dict[str, int], Flags, Floats | None]:
    """Return the rows, their account, where the target acts as was acted, and the reward model's scores.

    A decision that a model in question did not score is no row: `unscored`. With a reward model, decisions
    without a label are rows where the target would have acted otherwise: the score stands for them.
    """
    plan, used, counts = spec.weights, found.used, dict(found.counts)
    assert plan is not None, "asked for weights"
    acts, known = _acts(log, spec, as_of, keys)
    reward = None
    if plan.reward is not None:
        reward = scores_of(log, spec, as_of, plan.reward, keys).values()
        known = known & np.isfinite(reward)
        codes = found.labels[0][1].codes
        for name, code in (("missing", MISSING), ("late", LATE)):
            unseen = (codes == code) & known & ~acts
            used = used | unseen
            counts[name] -= int(np.count_nonzero(unseen))
    unscored = used & ~known
    if not known.all():
        counts["unscored"] = int(np.count_nonzero(unscored))
    return used & known, counts, acts, reward


def _acts(log: Log, spec: Spec, as_of: AsOf, keys: pa.Table) -> tuple[Flags, Flags]:
    """Return where the target policy does what was done, and where it is known what it does."""
    rows = keys.num_rows
    target = "" if spec.weights is None or spec.weights.target is None else spec.weights.target
    kind, _, name = target.partition(":")
    if not target:
        return np.ones(rows, dtype=np.bool_), np.ones(rows, dtype=np.bool_)
    done = keys.column("decision").combine_chunks()
    if kind == "decision":
        known = sorted(pc.unique(done.drop_null()).to_pylist())
        if name not in known:
            expected = f"Expected one of {', '.join(known[:NAMED])}." if known else "Expected decisions."
            raise WeightsUnusable(f"nobody decided {name!r}.", expected)
        return _true(pc.equal(done, name)), np.ones(rows, dtype=np.bool_)
    scores: Scores = scores_of(log, spec, as_of, name, keys)
    return _true(pc.equal(done, scores.decision)), np.asarray(scores.decision.is_valid())


def _true(found: pa.Array) -> Flags:
    return np.asarray(found.fill_null(False), dtype=np.bool_)  # noqa: FBT003  Arrow's own signature


def _numbers(keys: pa.Table, name: str) -> Floats:
    return np.asarray(keys.column(name).to_numpy(), dtype=np.float64)
