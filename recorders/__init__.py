"""Recorders: what a production service imports to append its decisions to the log.

Loads the standard library and msgspec, nothing else. Links are imported by name
(`recorders.inprocess.InProcessLink`), for they bring what they need.
"""

from recorders.counters import Counters
from recorders.errors import HarnessError
from recorders.exits import flush_on_sigterm
from recorders.fields import FeatureSet, Field
from recorders.limits import Limits
from recorders.link import Link
from recorders.recorder import Recorder
from recorders.sampling import Sampling

__all__ = [
    "Counters",
    "FeatureSet",
    "Field",
    "HarnessError",
    "Limits",
    "Link",
    "Recorder",
    "Sampling",
    "flush_on_sigterm",
]
