"""Drift: integer state of watched features, quality rules, and answers that are significant and material."""

from policies.drift.cut import cut_feature
from policies.drift.fold import fold_window
from policies.drift.plan import DriftRule, FeaturePlan, MonitorPlan
from policies.drift.state import WindowState

__all__ = ["DriftRule", "FeaturePlan", "MonitorPlan", "WindowState", "cut_feature", "fold_window"]
