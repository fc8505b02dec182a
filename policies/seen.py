"""What a policy is handed: everything that a look saw, and nothing else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policies.contenders import Contender, Facts
from policies.diagnosis import Signs
from policies.estimate import Look
from policies.evidence import Evidence
from policies.integrity import Integrity


class Rivalry(NamedTuple):
    """What a proof of retraining reads beside the challenger's own evidence (policies/retraining.py)."""

    facts: Facts
    contenders: Sequence[Contender]
    signs: Signs


class Seen(NamedTuple):
    """One look: its evidence, what was counted around it, and the looks before it, in any order.

    `slices` holds the evidence of each registered slice that has rows (policies/slices.py); `rivalry` is
    there where the plan registers a retraining.
    """

    evidence: Evidence
    integrity: Integrity
    previous: Sequence[Look] = ()
    slices: Mapping[str, Evidence] = {}
    rivalry: Rivalry | None = None
