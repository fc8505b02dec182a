"""Drift: integer state of watched features, quality rules, and answers that are significant and material."""

from policies.drift.compare import Drift, compare
from policies.drift.cut import cut_feature
from policies.drift.fold import fold_window
from policies.drift.plan import DriftRule, FeaturePlan, MonitorPlan
from policies.drift.quality import check_quality
from policies.drift.reference import reference_of
from policies.drift.state import WindowState

__all__ = [
    "Drift",
    "DriftRule",
    "FeaturePlan",
    "MonitorPlan",
    "WindowState",
    "check_quality",
    "compare",
    "cut_feature",
    "fold_window",
    "reference_of",
]
