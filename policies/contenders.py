"""What a proof of retraining is made of: the rivals, and the facts around them."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from policies.evidence import Evidence

CHALLENGERS = ("recent", "all")
RECALIBRATED = "recalibrated"


class Contender(msgspec.Struct, frozen=True):
    """A rival of the champion with its evidence on the held-out range, folded under one plan.

    `name`: "recent" (trained on the recent log), "all" (on all of it) or "recalibrated" (the champion's
    scores, moved by intercept and slope). `rival` compares it with the recalibrated champion in the
    champion's place, None for the recalibrated itself. `slices` are guarded parts of the range.
    `trained_until` is the last position that it learned from. It `failed` on that many of the decisions that
    it was `given`: what is left of them is no fair comparison when they are many.
    """

    name: Literal["recent", "all", "recalibrated"]
    champion: Evidence
    rival: Evidence | None
    slices: dict[str, Evidence]
    trained_until: int
    failed: int = 0
    given: int = 0


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the harness found around the comparison.

    `broken`: reasons of the quality rules that broke. `replayed` and `skewed` count values that were computed
    again from what was recorded (the champion's scores, or features) and that differed, None when no replay
    was made. `matured` decisions are old enough for
    a label, `labelled` of them have one; `label_bias` and its chance compare the scores of both kinds. The
    range held out is [heldout_start, heldout_stop) in positions; `gap_us` lies between the last decision
    learned from and the first one held out, `window_us` is the label's window. `read_before` tells whether
    an earlier proof has read the range. `days_since` the last retraining, None for never. `encrypted`
    features were not looked at: by name, how many of the decisions held out keep it encrypted; unset of none.
    """

    broken: tuple[str, ...]
    replayed: int | None
    skewed: int | None
    matured: int
    labelled: int
    label_bias: float
    label_bias_chance: float
    heldout_start: int
    heldout_stop: int
    gap_us: int
    window_us: int
    read_before: bool
    days_since: float | None = None
    encrypted: dict[str, int] | UnsetType = UNSET
