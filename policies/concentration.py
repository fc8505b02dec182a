"""Where differences concentrate: slices that hold more of them than their size explains."""

from collections.abc import Mapping
from typing import NamedTuple

from scipy.stats import hypergeom
from statsmodels.stats.multitest import multipletests


class Concentrated(NamedTuple):
    """A slice with more differing rows than chance would put there; `p` is corrected for all slices."""

    slice: str
    rows: int
    differing: int
    share: float
    p: float


def concentrated(
    counts: Mapping[str, tuple[int, int]], *, rows: int, differing: int, alpha: float = 0.05
) -> tuple[Concentrated, ...]:
    """Return the slices that hold too many of the `differing` of all `rows`, the most certain first.

    `counts` has (rows, differing) of every slice that was searched. Each is tested exactly (hypergeometric:
    the slice is a draw from all rows without regard to difference), all together by Holm (1979), so that
    the chance to name any slice wrongly is at most alpha. One comparison, one test: it is no sequential
    test and gates nothing.

    >>> concentrated({"DE": (100, 30), "FR": (900, 30)}, rows=1_000, differing=60)[0].slice
    'DE'
    >>> concentrated({}, rows=0, differing=0)
    ()
    """
    tested = {name: pair for name, pair in counts.items() if 0 < pair[0] < rows}
    if not tested or not differing:
        return ()
    p = [float(hypergeom.sf(k - 1, rows, differing, n)) for n, k in tested.values()]
    shown, corrected, _, _ = multipletests(p, alpha=alpha, method="holm")
    found = [
        Concentrated(name, n, k, k / n, float(value))
        for (name, (n, k)), is_shown, value in zip(tested.items(), shown, corrected, strict=True)
        if is_shown
    ]
    return tuple(sorted(found, key=lambda each: (each.p, -each.share, each.slice)))
