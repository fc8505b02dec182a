"""`python -m recorders` says which version this is, and which hot path runs here."""

from recorders.hotpath import which
from recorders.version import VERSION

print(f"recorders {VERSION}, hot path: {which()}")  # noqa: T201  # a command
