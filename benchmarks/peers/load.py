"""The load: a request is a line of JSON with 30 mixed features, and a small model that scores it."""

import json
import random
from collections.abc import Callable

from recorders.fields import FeatureSet, Field

VECTOR = 8
TYPES = ["float64"] * 14 + ["int64"] * 6 + ["string"] * 6 + ["bool"] * 2 + ["float64", "list[float64]"]
FEATURES = FeatureSet("bench", 1, tuple(Field(f"feature_{n:02}", type_) for n, type_ in enumerate(TYPES)))
_FLOATS = [field.name for field in FEATURES.fields[:14]]


def requests(count: int) -> list[str]:
    """Return bodies of requests, 30 features each; one of them is always null."""
    draw = random.Random(7)
    make: dict[str, Callable[[], object]] = {
        "float64": draw.random,
        "int64": lambda: draw.randrange(10**6),
        "string": lambda: draw.choice(["red", "green", "a longer one"]),
        "bool": lambda: draw.random() < 0.5,
        "list[float64]": lambda: [draw.random() for _ in range(VECTOR)],
    }
    made = [{field.name: make[field.type]() for field in FEATURES.fields} for _ in range(count)]
    return [json.dumps({**snapshot, "feature_28": None}) for snapshot in made]


def score(features: dict[str, object]) -> float:
    """Return what the model says."""
    return sum(features[name] for name in _FLOATS) / 14  # type: ignore[misc, no-any-return]  # floats
