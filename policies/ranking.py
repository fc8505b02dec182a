"""Ranking by blocks: AUC has no value per decision, so blocks of decisions are the units that are tested.

A block is a closed part of the stream, such as a day, cut without a look at scores or outcomes. It gives one
difference of AUC in [-1, 1] on its own decisions, and the betting grid runs over blocks: exact at any look.
"""

from collections.abc import Sequence
from functools import reduce

import msgspec
import numpy as np
import pyarrow as pa

from policies.checks import positive, refuse
from policies.columns import Columns, Floats, Ints
from policies.errors import ColumnsError
from policies.evalues import betting_values, mixture
from policies.fixed import to_fixed
from policies.fixed_horizon import auc
from policies.plan import GridPlan
from recorders.canonical import canonical_json

SCALE = 2**24


class RankedBlocks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Differences of AUC per block in units of 1/SCALE, above 0 where the challenger ranks better.

    `left` counts blocks with fewer positives or negatives than were registered, and `reasons` rows that
    could not be used. A block is handed over whole, once: merging takes blocks together, never parts.
    """

    differences: dict[int, int]
    left: dict[int, str]
    reasons: dict[str, int]

    @classmethod
    def empty(cls) -> "RankedBlocks":
        """Return no block, the identity of `merge`."""
        return cls({}, {}, {})

    def merge(self, *others: "RankedBlocks") -> "RankedBlocks":
        """Return the blocks of all, the same bytes in any order.

        Raises:
            ColumnsError: a block comes twice. AUC of a block is not the mean of that of its parts.
        """
        return reduce(_merged, others, self)

    def to_json(self) -> bytes:
        """Return the canonical JSON."""
        return canonical_json(msgspec.to_builtins(self, str_keys=True))

    def log_e(
        self, null: float = 0.0, *, swapped: bool = False, grid: GridPlan | None = None, clip: float = 1.0
    ) -> float:
        """Return the log e-value against "the mean difference of a block, given the past, is at most `null`".

        `swapped` asks for the champion, against minus `null`. Differences are cut to [-clip, clip] and the
        cut mean is tested (docs/adr/0009). Register both: for the few blocks that days are, a grid of
        [16, 0.02, 0.9] and a clip of 0.3 find more than what serves thousands of requests.

        Raises:
            PlanError: the clip is not in (0, 1], or the null is not within it.

        >>> RankedBlocks.empty().log_e()
        0.0
        """
        if not 0.0 < clip <= 1.0:
            refuse("ranking.clip", clip, "above 0 and at most 1", "Correct it.")
        if not -clip < null < clip:
            refuse("ranking.null", null, f"within the clip, {clip!r}", "Correct it.")
        chosen = grid or GridPlan()
        bets = np.geomspace(chosen.low, chosen.high, chosen.size)
        values: Floats = np.array([self.differences[k] for k in sorted(self.differences)]) / SCALE
        values = np.clip(values / clip, -1.0, 1.0)
        return mixture(betting_values(-values if swapped else values, null / clip, bets))

    @property
    def mean(self) -> float | None:
        """Return the mean difference over blocks; None of nothing."""
        found = list(self.differences.values())
        return sum(found) / len(found) / SCALE if found else None


def rank_blocks(columns: pa.Table, keys: Sequence[int] | Ints, *, least: int = 10) -> RankedBlocks:
    """Return the difference of AUC of each block, `keys` naming the block of each row.

    Blocks with fewer than `least` positives or negatives are left out: that reads labels, but neither score.

    Raises:
        ColumnsError: a column is absent or of the wrong type, or there is not one key a row.
        PlanError: `least` is not above 0.
    """
    positive("ranking", least=least)
    read, blocks = Columns(columns), np.asarray(keys, dtype=np.int64)
    if blocks.shape != (read.rows,):
        raise ColumnsError(
            "block", f"{blocks.size} keys for {read.rows} rows", "one key a row", "Cut them again."
        )
    reasons: dict[str, int] = {}
    usable = np.ones(read.rows, dtype=np.bool_)
    for name, bad in (
        ("label_missing", np.isnan(read.label)),
        ("label_outside", (read.label != 0.0) & (read.label != 1.0)),
        ("champion_not_a_number", ~np.isfinite(read.champion.score)),
        ("challenger_not_a_number", ~np.isfinite(read.challenger.score)),
    ):
        count = int(np.count_nonzero(usable & bad))
        if count:
            reasons[name] = count
            usable &= ~bad
    differences: dict[int, int] = {}
    left: dict[int, str] = {}
    for block in np.unique(blocks).tolist():
        rows = usable & (blocks == block)
        label = read.label[rows]
        positives = int(label.sum())
        if min(positives, label.size - positives) < least:
            left[block] = f"{positives} positives and {label.size - positives} negatives"
            continue
        live, other = (auc(side.score[rows], label) for side in (read.champion, read.challenger))
        assert live is not None
        assert other is not None  # both labels are there
        differences[block] = int(to_fixed(np.array([other - live]), SCALE)[0])
    return RankedBlocks(differences, left, reasons)


def _merged(a: RankedBlocks, b: RankedBlocks) -> RankedBlocks:
    twice = (a.differences.keys() | a.left.keys()) & (b.differences.keys() | b.left.keys())
    if twice:
        raise ColumnsError(
            "block",
            f"given twice, for instance {min(twice)}",
            "each block whole and once",
            "Close blocks first.",
        )
    names = sorted(a.reasons.keys() | b.reasons.keys())
    return RankedBlocks(
        dict(sorted((a.differences | b.differences).items())),
        dict(sorted((a.left | b.left).items())),
        {name: a.reasons.get(name, 0) + b.reasons.get(name, 0) for name in names},
    )
