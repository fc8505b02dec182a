"""`recorded:champion`: nothing is loaded; the score is the one that live made."""

import pyarrow as pa
import pyarrow.compute as pc

from recorders.columns import SCORE_SCHEMA
from replay.columns import require
from replay.model import ModelInfo
from replay.pairs import NO_SCORE


class RecordedModel:
    """Answers with the score and decision of the snapshot itself."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return what was recorded; a decision with neither score nor decision has the error `no score`."""
        require(columns, ("decision_position", "decision_id", "score", "decision"), "decisions")
        score, decision = columns.column("score"), columns.column("decision").cast(pa.string())
        nothing = pc.and_(pc.is_null(score), pc.is_null(decision))
        return pa.RecordBatch.from_arrays(
            [
                columns.column("decision_position"),
                columns.column("decision_id").cast(pa.string()),
                score.cast(pa.float64()),
                decision,
                pc.if_else(nothing, NO_SCORE, pa.scalar(None, pa.string())),
            ],
            schema=SCORE_SCHEMA,
        )
