"""Coverage: what became of the decisions of a window, stage by stage, and why each that is gone is gone."""

from harness.report.figures import Absent, Stage
from harness.report.numbers import duration as hours_in_words
from harness.report.view import View


def coverage(view: View) -> tuple[Stage, ...] | Absent:
    """Return the stages of counting; before the first look only what is recorded and what has matured."""
    window = hours_in_words(view.experiment.label_window.total_seconds() / 3_600)
    if view.last is None:
        if not view.rows.counted:
            return Absent("The window has no decision yet.")
        young = view.rows.counted - view.rows.mature_count
        return (
            Stage("Recorded", view.rows.counted),
            Stage("Matured", view.rows.mature_count, ((f"younger than {window}", young),)),
        )
    counted = view.last.look.integrity
    left = counted.reasons
    stages = [Stage("Eligible, in the window", counted.decisions)]
    for name, reasons in _stages(window, days=view.experiment.plan.unit.kind == "day"):
        gone = tuple(
            (words, left.get(key, 0)) for key, words, always in reasons if always or left.get(key, 0)
        )
        stages.append(Stage(name, stages[-1].kept - sum(count for _, count in gone), gone))
    return tuple(stages)


def _stages(window: str, *, days: bool) -> tuple[tuple[str, tuple[tuple[str, str, bool], ...]], ...]:
    """Return (stage, ((reason, words, shown even when 0), ...)) in the order of counting."""
    young = f"younger than {window} at this look" + (", or of a day still open" if days else "")
    return (
        (
            "Matured",
            (
                ("duplicate", "duplicate: a second event with a known decision id", False),
                ("partial_day", "of a day that the window cuts", False),
                ("immature", young, True),
            ),
        ),
        (
            "With an outcome",
            (("missing", "missing: no outcome", True), ("late", f"late: outcome after {window}", True)),
        ),
        (
            "Scored by both",
            (("unscored", "not scored yet", False), ("failed", "failed: the challenger gave no score", True)),
        ),
        ("Used", (("unusable", "not usable by the metric", False),)),
    )
