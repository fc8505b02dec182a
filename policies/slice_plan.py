"""The slices of a plan: where harm is searched for, registered with the level that the search may spend."""

import msgspec

from policies.checks import refuse

COLUMNS_MAX = 16
LEVELS_MAX = 100


class SlicePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which features cut the decisions into slices, and what counts as harm in one.

    Every level of every column is a slice. The first `levels` levels of a column in the order of the log have
    one each, all others share one: so the number of hypotheses is registered too. `metric` is searched, the
    first primary one if left out; harm is worse by more than `margin`, in its unit.
    """

    columns: tuple[str, ...]
    metric: str = ""
    margin: float = 0.0
    levels: int = 10

    def __post_init__(self) -> None:
        if not 1 <= len(set(self.columns)) == len(self.columns) <= COLUMNS_MAX:
            refuse("slices.columns", self.columns, f"1 to {COLUMNS_MAX} features, each once", "Correct it.")
        if not 0.0 <= self.margin < float("inf"):
            refuse("slices.margin", self.margin, "a finite number of at least 0", "Correct it.")
        if not 1 <= self.levels <= LEVELS_MAX:
            refuse("slices.levels", self.levels, f"from 1 to {LEVELS_MAX}", "Use 10.")

    @property
    def hypotheses(self) -> int:
        """Return how many slices there can be: those of the named levels, and one for the others."""
        return len(self.columns) * (self.levels + 1)
