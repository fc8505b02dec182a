"""How quick this machine is just now: what absolute figures of two runs are compared by.

Virtual machines change their speed by half within an hour, at no load of their own. A ratio in one run
does not show it; microseconds and events a second do.
"""

import json
import time
from statistics import median

RECORD = {
    f"f{number:02d}": (number * 0.37, number * 1_001, str(number), None)[number % 4] for number in range(30)
}
ROUNDS, TRIPS = 15, 400


def pace() -> float:
    """Return the CPU microseconds of one trip of a fixed record of 30 fields through `json`, there and back.

    The median of 15 rounds, about a tenth of a second in all.
    """
    return median(_round() for _ in range(ROUNDS))


def _round() -> float:
    started = time.process_time()
    for _ in range(TRIPS):
        json.loads(json.dumps(RECORD))
    return (time.process_time() - started) / TRIPS * 1e6
