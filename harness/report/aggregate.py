"""From columns to the figures of the page: bins, matrices, curves. Pure; arrays in, frozen figures out.

No row leaves this module but the dots of a comparison below 500 decisions: two scores and nothing else.
"""

import math

import numpy as np
from numpy.typing import NDArray

from harness.report.charts.hexbin import RADIUS, SIDE
from harness.report.figures import (
    Calibration,
    CalibrationBin,
    FlipCell,
    Flips,
    LatencyRow,
    Maturity,
    Scores,
)
from harness.report.scales import step

Floats = NDArray[np.float64]
Words = NDArray[np.str_]

DOTS_BELOW = 500
_BANDS = 5
_BINS = 10
_POSITIVES_A_BIN = 50
_WILSON_Z = 1.959963984540054
_TAIL_NEEDS = 10_000
_CURVE_POINTS = 120


def score_domain(champion: Floats, challenger: Floats) -> tuple[float, float, float]:
    """Return (low, high, share outside) of one square domain for both scores.

    Probabilities get 0 to 1; other scores their shared 0.1 to 99.9 % quantiles.

    >>> score_domain(np.array([0.1, 0.9]), np.array([0.0, 1.0]))
    (0.0, 1.0, 0.0)
    """
    both = np.concatenate([champion, challenger])
    if both.size == 0 or (both.min() >= 0 and both.max() <= 1):
        return 0.0, 1.0, 0.0
    low, high = (float(v) for v in np.quantile(both, [0.001, 0.999]))
    if low == high:
        low, high = low - 0.5, high + 0.5
    outside = (champion < low) | (champion > high) | (challenger < low) | (challenger > high)
    return low, high, float(outside.mean())


def score_figure(
    champion: Floats,
    challenger: Floats,
    *,
    thresholds: tuple[float | None, float | None],
    names: tuple[str, str],
) -> Scores:
    """Return the density of both scores; dots below 500 decisions."""
    low, high, outside = score_domain(champion, challenger)
    never = [
        name
        for name, values in zip(names, (champion, challenger), strict=True)
        if values.size and bool(np.all(values == values[0]))
    ]
    few = champion.size < DOTS_BELOW
    points = tuple(zip(champion.tolist(), challenger.tolist(), strict=True)) if few else ()
    return Scores(
        total=int(champion.size),
        low=low,
        high=high,
        outside=outside,
        cells=()
        if few
        else _squares(champion, challenger, low, high)
        if never
        else hexagons(champion, challenger, low, high),
        points=points,
        bands=_bands(champion, challenger, low, high),
        champion_threshold=thresholds[0],
        challenger_threshold=thresholds[1],
        constant=" and ".join(never) or None,
    )


def hexagons(
    champion: Floats, challenger: Floats, low: float, high: float
) -> tuple[tuple[float, float, int], ...]:
    """Return (x, y, decisions) of every hexagon that holds a decision, from the lower left, in score units.

    The lattice is that of the drawing: pointy hexagons of 6.4 px on a square of 356 px.
    """
    unit = (high - low) / SIDE
    across, up = math.sqrt(3.0) * RADIUS, 1.5 * RADIUS
    x = np.clip((champion - low) / unit, 0, SIDE)
    y = np.clip((challenger - low) / unit, 0, SIDE)
    best: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    distance: Floats | None = None
    for parity in (0, 1):  # a hexagonal lattice is two rectangular ones; the nearer centre wins
        row = 2 * np.rint((y / up - parity) / 2).astype(np.int64) + parity
        column = np.rint(x / across - parity / 2).astype(np.int64)
        off = (x - (column + parity / 2) * across) ** 2 + (y - row * up) ** 2
        if best is None or distance is None:
            best, distance = (column, row), off
        else:
            nearer = off < distance
            best = (np.where(nearer, column, best[0]), np.where(nearer, row, best[1]))
    assert best is not None, "both parities were tried"
    keys, counts = np.unique(np.stack([best[1], best[0]]), axis=1, return_counts=True)
    cells = []
    for row_, column_, amount in zip(keys[0].tolist(), keys[1].tolist(), counts.tolist(), strict=True):
        centre = (column_ + (row_ % 2) / 2) * across
        cells.append((low + centre * unit, low + row_ * up * unit, int(amount)))
    return tuple(cells)


def _squares(
    champion: Floats, challenger: Floats, low: float, high: float
) -> tuple[tuple[float, float, int], ...]:
    """Return (x, y, decisions) on a square lattice: on strips equal scores have equal places."""
    unit = (high - low) / SIDE * math.sqrt(3.0) * RADIUS
    x = np.rint((np.clip(champion, low, high) - low) / unit).astype(np.int64)
    y = np.rint((np.clip(challenger, low, high) - low) / unit).astype(np.int64)
    keys, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
    found = zip(keys[0].tolist(), keys[1].tolist(), counts.tolist(), strict=True)
    return tuple((low + a * unit, low + b * unit, int(amount)) for a, b, amount in found)


def _bands(champion: Floats, challenger: Floats, low: float, high: float) -> tuple[tuple[int, ...], ...]:
    def band(values: Floats) -> NDArray[np.int64]:
        return np.clip(((values - low) / (high - low) * _BANDS).astype(np.int64), 0, _BANDS - 1)

    table = np.zeros((_BANDS, _BANDS), dtype=np.int64)
    np.add.at(table, (band(champion), band(challenger)), 1)
    return tuple(tuple(row) for row in table.tolist())


def flip_figure(
    champion: Words,
    challenger: Words,
    outcome: Floats,
    *,
    words: str,
    positive_decision: str | None,
    threshold: float | None,
) -> Flips:
    """Return the matrix of decisions; `outcome` is above 0 where positive, NaN where it is not known.

    The positive decision comes first, the others in the order of their names.
    """
    names, codes = np.unique(np.concatenate([champion, challenger]), return_inverse=True)
    known = np.isfinite(outcome)
    size = names.size
    place = codes[: champion.size] * size + codes[champion.size :]
    tallies = [
        np.bincount(place[chosen], minlength=size * size).reshape(size, size)
        for chosen in (np.ones_like(known), known, known & (outcome > 0))
    ]
    order = sorted(range(size), key=lambda index: (names[index] != positive_decision, names[index]))
    cells = tuple(tuple(FlipCell(*(int(tally[i, j]) for tally in tallies)) for j in order) for i in order)
    found = tuple(str(names[index]) for index in order)
    return Flips(found, cells, words, positive_decision if positive_decision in found else None, threshold)


def calibration_figure(champion: Floats, challenger: Floats, label: Floats, *, words: str) -> Calibration:
    """Return both models' reliability in up to ten bins of equal count, 50 positives a bin on average."""
    bins = min(_BINS, int(label.sum()) // _POSITIVES_A_BIN)
    return Calibration(
        champion=calibration_bins(champion, label, bins),
        challenger=calibration_bins(challenger, label, bins),
        champion_gap=float(label.mean() - champion.mean()) if label.size else 0.0,
        challenger_gap=float(label.mean() - challenger.mean()) if label.size else 0.0,
        positive=words,
    )


def calibration_bins(predicted: Floats, label: Floats, bins: int) -> tuple[CalibrationBin, ...]:
    """Return `bins` bins of equal count (to one), ties kept in the order given; none for bins below 1."""
    if bins < 1:
        return ()
    order = np.argsort(predicted, kind="stable")
    made = []
    for part in np.array_split(order, bins):
        low, high = wilson(int(label[part].sum()), int(part.size))
        made.append(
            CalibrationBin(
                float(predicted[part].mean()), float(label[part].mean()), low, high, int(part.size)
            )
        )
    return tuple(made)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share (Wilson 1927); (0, 1) without data.

    >>> [round(end, 4) for end in wilson(0, 10)]
    [0.0, 0.2775]
    """
    if total == 0:
        return 0.0, 1.0
    z2 = _WILSON_Z**2
    share = hits / total
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _WILSON_Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def histogram(difference: Floats) -> tuple[float, float, tuple[int, ...], float]:
    """Return (start, width, counts, share inside) of a symmetric histogram that holds 99.5 % of the mass."""
    size = np.abs(difference)
    reach = float(np.quantile(size, 0.995, method="higher")) if size.size else 0.0
    if reach <= 0:
        reach = 0.1
    width = step(2 * reach, 45)
    side = math.ceil(reach / width - 1e-9)
    # An odd number of bins: one of them is centred on 0, where equal scores belong.
    start = -(side + 0.5) * width
    places = np.floor((difference - start) / width).astype(np.int64)
    inside = (places >= 0) & (places <= 2 * side)
    counts = np.bincount(places[inside], minlength=2 * side + 1)
    return start, width, tuple(counts.tolist()), float(inside.mean()) if size.size else 1.0


def rebin(difference: Floats, start: float, width: float, count: int) -> tuple[int, ...]:
    """Return counts in the bins of another histogram; what lies outside goes into the bins at its ends."""
    places = np.clip(np.floor((difference - start) / width).astype(np.int64), 0, count - 1)
    return tuple(np.bincount(places, minlength=count).tolist())


def maturity_figure(
    ages_hours: Floats, *, mature: int, window_hours: float, label: str, late: int = 0
) -> Maturity:
    """Return when outcomes arrived: ages of the outcomes of `mature` decisions, those within the window."""
    known = np.sort(ages_hours[ages_hours <= window_hours])
    if mature == 0 or known.size == 0:
        return Maturity(label, (), window_hours, None, None, 0.0 if mature == 0 else 1.0, mature)
    hours = np.linspace(0.0, window_hours, _CURVE_POINTS + 1)
    shares = np.searchsorted(known, hours, side="right") / mature
    curve: list[tuple[float, float]] = []
    for age, share in zip(hours.tolist(), shares.tolist(), strict=True):
        if not curve or share != curve[-1][1]:
            curve.append((age, share))
    return Maturity(
        label=label,
        curve=tuple(curve),
        window_hours=window_hours,
        half_hours=_reached(known, mature, 0.5),
        most_hours=_reached(known, mature, 0.95),
        never=1 - known.size / mature,
        mature=mature,
        late=late,
    )


def _reached(known: Floats, mature: int, share: float) -> float | None:
    needed = math.ceil(share * mature)
    return float(known[needed - 1]) if known.size >= needed else None


def latency_rows(champion_ms: Floats, challenger_ms: Floats) -> tuple[LatencyRow, ...]:
    """Return the quantiles of both models' times; p99.9 only from 10,000 times on. Empty arrays give None."""
    rows = []
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
        if share > 0.99 and max(champion_ms.size, challenger_ms.size) < _TAIL_NEEDS:  # noqa: PLR2004 -- p99.9
            continue
        rows.append(LatencyRow(name, _quantile(champion_ms, share), _quantile(challenger_ms, share)))
    return tuple(rows)


def _quantile(values: Floats, share: float) -> float | None:
    return float(np.quantile(values, share, method="inverted_cdf")) if values.size else None
