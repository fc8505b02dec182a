"""How both models' values are spread over decisions: a histogram of each, for sequences of quantiles.

For reading: a quantile has no paired difference, and what gates is the share beyond an objective.
"""

import msgspec

from policies.columns import Columns, Floats, Mask
from policies.metric_plan import MetricPlan
from policies.quantiles import Histogram
from policies.serving import LATENCIES, LATENCY


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values of the champion and of the challenger over the same decisions."""

    champion: Histogram
    challenger: Histogram

    def merge(self, other: "Spread") -> "Spread":
        """Return those of both samples together."""
        return Spread(self.champion.merge(other.champion), self.challenger.merge(other.challenger))


def fold_spread(values: tuple[Floats, Floats], read: Columns, usable: Mask, metric: MetricPlan) -> Spread:
    """Return the spread of the used decisions: of the values, and of a latency in microseconds."""
    if metric.name == LATENCY:
        values = read.numbers(LATENCIES[0])[usable], read.numbers(LATENCIES[1])[usable]
    return Spread(Histogram.of(values[0]), Histogram.of(values[1]))
