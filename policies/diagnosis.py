"""What changed: the data, the population, the labels' rate or the concept, with the evidence for it."""

from typing import Literal

import msgspec

from policies.duel import Duel

Change = Literal["none", "broken data", "covariate", "prior", "concept", "not enough data"]


class Signs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What monitors say: they can raise suspicion and explain, and prove nothing about retraining.

    `features` is the drift answer over the inputs. `calibration` is how far labels moved at the same scores
    (effect and chance, policies/drift/reliability.py), None when no label is there; `material` from where on
    it matters, at the level `alpha`.
    """

    features: Literal["ok", "drift", "not enough data"] = "not enough data"
    calibration: tuple[float, float] | None = None
    material: float = 0.02
    alpha: float = 0.01

    @property
    def calibration_moved(self) -> bool:
        """Return whether labels moved at the same scores, significantly and materially."""
        return (
            self.calibration is not None
            and self.calibration[0] >= self.material
            and self.calibration[1] <= self.alpha
        )

    @property
    def suspect(self) -> bool:
        """Return whether the costlier comparison with challengers is worth making sooner."""
        return self.features == "drift" or self.calibration_moved


class Diagnosis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changed, and each observation that says so."""

    change: Change
    because: tuple[str, ...]


def diagnose(signs: Signs, *, broken: bool, winner: Duel | None, recalibrated: Duel | None) -> Diagnosis:
    """Return what changed. The duels decide between prior and concept; drift alone only names the population.

    >>> diagnose(Signs(features="drift"), broken=False, winner=None, recalibrated=None).change
    'covariate'
    """
    inputs = {
        "drift": "The inputs moved.",
        "ok": "The inputs did not move.",
        "not enough data": "Whether the inputs moved cannot be told.",
    }[signs.features]
    labels = "Labels at the same scores were not compared."
    if signs.calibration is not None:
        effect, chance = signs.calibration
        labels = f"Labels at the same scores moved by {effect:.3g} (chance {chance:.2g})."
    said = (inputs, labels)
    if broken:
        return Diagnosis("broken data", ("A quality rule or the replay of features failed.", *said))
    if winner is not None:
        return Diagnosis("concept", (*said, winner.said, "Recalibration does not close the gap."))
    if recalibrated is not None and recalibrated.beats_champion:
        return Diagnosis("prior", (*said, recalibrated.said, "Recalibration closes the gap."))
    change, why = _undecided(signs)
    return Diagnosis(change, (*said, "No contender is shown better by the margin.", *why))


def _undecided(signs: Signs) -> tuple[Change, tuple[str, ...]]:
    """Return what the signs alone say where no contender won."""
    if signs.calibration_moved:
        return "prior", ("Too little to act on so far.",)
    if signs.features == "drift":
        return "covariate", ("The model holds on the new population.",)
    return ("not enough data" if signs.features == "not enough data" else "none"), ()
