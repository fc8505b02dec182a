"""Training sets for tests of what is done with them: the small history, cut and written."""

from datetime import timedelta
from pathlib import Path

from harness.log.log import Log
from harness.training.export import export_training_set
from harness.training.folder import TrainingSet
from harness.training.sets import create_training_set
from tests.support.history import MINUTE, POINT, START, History


def handed_off(log: Log, folder: Path, *, decisions: int = 1_000, rows_per_part: int = 300) -> TrainingSet:
    """Return a set of all but the last 100 decisions, exported for other tools; a fifth is the test."""
    history = History(log)
    start, stop = history.decisions(0, decisions)
    history.outcomes(0, decisions - 100)
    history.decisions(decisions + 400, decisions + 401)
    made = create_training_set(
        log,
        decision_point=POINT,
        start=start,
        stop=stop,
        label="fraud",
        window=timedelta(hours=3),
        split=START + decisions * 0.7 * MINUTE,
        out_dir=folder / "made",
    )
    return export_training_set(log, made.id, folder / "set", rows_per_part=rows_per_part)
