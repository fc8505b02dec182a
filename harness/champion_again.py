"""The noise floor of a look: the champion's scores again, out of the log, against what it decided live."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from policies.figures import tidy
from replay.model import ModelInfo

# Upper edges of the histogram of absolute score differences; 0 means equal bits.
EDGES = (0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3)
_FARTHEST = float(np.finfo(np.float64).max)
_ADDED = ("rows", "failed", "unscored", "differing_scores", "decisions_compared", "differing_decisions")


def champion_noise(
    decisions: pa.Table, again: pa.Table, champion: ModelInfo, *, error: str | None = None
) -> dict[str, Any] | None:
    """Return how far the champion's new scores are from the recorded ones; None when there are none.

    A function of the log: the new scores are those that a replay of the champion stored there. Only
    decisions that this very model and version made count. `rows` of them were scored again, `failed` could
    not be, `unscored` lack a score on one side. `differing_scores` have other bits, `differing_decisions`
    of `decisions_compared` another text. `histogram` counts |difference| up to each edge. `error` is what
    the champion raised on snapshots of which it has no score: they count as failed.
    """
    own = pc.and_(
        pc.equal(decisions.column("model"), champion.name),
        pc.equal(decisions.column("model_version"), champion.version),
    )
    live = decisions.filter(own)
    at = pc.index_in(live.column("position"), again.column("decision_position"))
    given_up = at.null_count if error is not None else 0
    live, again = live.filter(pc.is_valid(at)), again.take(at.drop_null())
    good = pc.is_null(again.column("error"))
    failed = given_up + again.num_rows - _count(good)
    live, again = live.filter(good), again.filter(good)
    if not live.num_rows and not failed:
        return None
    recorded, scored = _floats(live.column("score")), _floats(again.column("score"))
    both = ~np.isnan(recorded) & ~np.isnan(scored)
    gaps = _apart(recorded[both], scored[both])
    differs = pc.not_equal(live.column("decision"), again.column("decision"))
    return {
        "model": f"{champion.name}:{champion.version}",
        "rows": live.num_rows,
        "failed": failed,
        "unscored": live.num_rows - int(np.count_nonzero(both)),
        "differing_scores": int(np.count_nonzero(gaps)),
        "max_abs_difference": tidy(float(gaps.max(initial=0.0))),
        "decisions_compared": live.num_rows - differs.null_count,
        "differing_decisions": _count(differs),
        "histogram": _histogram(gaps),
        **({"error": error} if given_up else {}),
    }


def merged_noise(a: dict[str, Any] | None, b: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the noise floor of two parts together; None, of a part without any, is the identity."""
    if a is None or b is None:
        return b if a is None else a
    merged = {**a, **b}  # `error` is there when one of them has it, and it is the same
    for name in _ADDED:
        merged[name] = a[name] + b[name]
    merged["max_abs_difference"] = max(a["max_abs_difference"], b["max_abs_difference"])
    merged["histogram"] = {edge: count + b["histogram"][edge] for edge, count in a["histogram"].items()}
    return merged


def _apart(recorded: npt.NDArray[np.float64], scored: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how far scores are apart; what no double holds is as far as one can: JSON has no infinity."""
    with np.errstate(invalid="ignore", over="ignore"):
        far = np.abs(recorded - scored)
    return np.where(recorded == scored, 0.0, np.minimum(far, _FARTHEST))


def _histogram(gaps: npt.NDArray[np.float64]) -> dict[str, int]:
    counts = np.bincount(np.searchsorted(EDGES, gaps), minlength=len(EDGES) + 1).tolist()
    names = ["equal", *(f"<= {edge:g}" for edge in EDGES[1:]), f"> {EDGES[-1]:g}"]
    return dict(zip(names, counts, strict=True))


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    filled = pc.fill_null(column.cast(pa.float64()), float("nan"))
    return np.asarray(filled.to_numpy(), dtype=np.float64)


def _count(flags: pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)
