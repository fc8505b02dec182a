"""What a policy is handed: everything that a look saw, and nothing else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from policies.estimate import Look
from policies.evidence import Evidence
from policies.integrity import Integrity


class Seen(NamedTuple):
    """One look: its evidence, what was counted around it, and the looks before it, in any order.

    `slices` holds the evidence of each registered slice that has rows (policies/slices.py).
    """

    evidence: Evidence
    integrity: Integrity
    previous: Sequence[Look] = ()
    slices: Mapping[str, Evidence] = {}
