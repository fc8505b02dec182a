"""Worlds of known truth: how a unit's paired difference is distributed, with its mean set exactly."""

from typing import Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from harness.errors import UsageError

Floats = npt.NDArray[np.float64]
CELLS = 41
RARE = 0.002
_REACH_SD = 6.0
_HEADROOM = 0.8
_STEPS = 200


class Assumed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a certificate assumes about production.

    `discordance`: share of decisions on which the models differ. `size`: by how much they then differ, as a
    share of the metric's largest difference; metrics of -1, 0 and 1 differ by all of it. `cluster`: decisions
    of one unit, with the correlation `correlation` among them. `per_look`: decisions between two looks, of
    which there are `looks`. `delay`: how many looks later a decision has matured. `effect`: the difference
    that should be found, in the first primary metric's unit; None for a fifteenth of what discordance allows.
    """

    discordance: float = 0.15
    size: float = 0.2
    cluster: int = 1
    correlation: float = 0.1
    per_look: int = 400
    looks: int = 100
    delay: int = 0
    effect: float | None = None
    runs: int = 2_000
    seed: int = 1

    def __post_init__(self) -> None:
        for key, low, high in (
            ("discordance", 0.0, 1.0),
            ("size", 0.0, 1.0),
            ("correlation", -1.0, 1.0),
            ("cluster", 0, 100_000),
            ("per_look", self.cluster - 1, 10_000_000),
            ("looks", self.delay, 1_000),
            ("delay", -1, 1_000),
            ("runs", 0, 100_000),
        ):
            if not low < getattr(self, key) <= high:
                whole = isinstance(low, int)
                expected = f"from {low + 1} to {high}" if whole else f"above {low:g} and up to {high:g}"
                raise _refused(key, getattr(self, key), expected)
        if self.effect is not None and not 0.0 < self.effect < float("inf"):
            raise _refused("effect", self.effect, "a finite number above 0")


def _refused(key: str, value: object, expected: str) -> UsageError:
    option = f"--{key.replace('_', '-')}"
    return UsageError(f"{option} is {value}.", f"Expected {expected}.", "Correct it.")


class World(NamedTuple):
    """The distribution of one unit's difference: `values`, in the metric's unit, with their chances.

    `square` is the mean square of one decision's difference, which is what a test over decisions looks at.
    """

    values: Floats
    chances: Floats
    square: float

    @property
    def mean(self) -> float:
        """Return the mean difference."""
        return float(self.values @ self.chances)


def world(
    mean: float, assumed: Assumed, *, clip: float, step: float, kind: Literal["usual", "rare"] = "usual"
) -> World:
    """Return the world with exactly this mean: differences of `step` up, down or none, averaged over a unit.

    Where the mean is more than the discordance allows, so many more decisions differ. `rare`: a loss of a
    whole clip in RARE of the units, and a small gain in all others.

    Raises:
        UsageError: no share of differing decisions has this mean.
    """
    if kind == "rare":
        return _rare(mean, clip, step)
    discordance = max(assumed.discordance, abs(mean) / (_HEADROOM * step))
    if discordance > 1.0:
        raise UsageError(
            f"A mean difference of {mean:g} cannot come from decisions that differ by {step:g}.",
            "Expected margins and effects well below the size of one difference.",
            "Raise --size, or lower the margin.",
        )
    values, chances = _unit(discordance, assumed, step)
    values, chances = _binned(np.clip(values, -clip, clip), chances)
    return World(values, _tilted(values, chances, mean), discordance * step**2)


def _unit(discordance: float, assumed: Assumed, step: float) -> tuple[Floats, Floats]:
    """Return a unit's mean over its decisions, of mean 0: each unit leans one way or the other."""
    size = assumed.cluster
    lean = min((max(assumed.correlation, 0.0) * discordance) ** 0.5, discordance) if size > 1 else 0.0
    chances = np.zeros(2 * size + 1)
    for side in (-lean, lean):
        one = np.array([(discordance - side) / 2.0, 1.0 - discordance, (discordance + side) / 2.0])
        chances += 0.5 * np.fft.irfft(np.fft.rfft(one, 2 * size + 1) ** size, 2 * size + 1)
    chances = np.maximum(chances, 0.0)
    values: Floats = step * np.arange(-size, size + 1) / size
    return values, chances / chances.sum()


def _binned(values: Floats, chances: Floats) -> tuple[Floats, Floats]:
    """Return at most CELLS values: each is shared between its two neighbours, which keeps the mean."""
    if values.size <= CELLS:
        return values, chances
    spread = float(np.sqrt((values**2) @ chances))
    reach = min(float(np.abs(values).max()), _REACH_SD * spread)
    cells = np.linspace(-reach, reach, CELLS)
    place = (np.clip(values, -reach, reach) + reach) / (cells[1] - cells[0])
    below = np.minimum(place.astype(np.int64), CELLS - 2)
    share = place - below
    found: Floats = np.zeros(CELLS)
    np.add.at(found, below, chances * (1.0 - share))
    np.add.at(found, below + 1, chances * share)
    return cells, found


def _tilted(values: Floats, chances: Floats, mean: float) -> Floats:
    """Return the chances nearest to these (in relative entropy) that have this mean, by bisection."""
    scale = float(np.abs(values).max())
    low, high = -500.0, 500.0
    for _ in range(_STEPS):
        tilt = (low + high) / 2.0
        odds = np.log(np.maximum(chances, 1e-300)) + tilt * values / scale
        found: Floats = np.exp(odds - odds.max())
        found /= found.sum()
        low, high = (tilt, high) if float(found @ values) < mean else (low, tilt)
    return found


def _rare(mean: float, clip: float, step: float) -> World:
    gain = (mean + RARE * clip) / (1.0 - RARE)
    square = RARE * clip**2 + (1.0 - RARE) * gain**2
    del step
    return World(np.array([-clip, gain]), np.array([RARE, 1.0 - RARE]), square)
