"""Refused: what takes the place of a batch that the log calls unusable (docs/adr/0095).

The log looks at what a batch says of itself, and at the events of control batches. Of decisions and outcomes
only the header can be wrong, and what it should say is in the payload, which has a digest and is proven.
"""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from recorders.canonical import digest
from recorders.errors import CorruptBatch
from recorders.sidecar.drafts import Draft, control
from recorders.sidecar.records import Ready
from recorders.sidecar.report import named_point, sidecar_loss, words
from recorders.sidecar.salvage import keep_aside


class Replacement:
    """Returns what to put in the place of batch `ordinal`, nothing for any other.

    Its own payload under a true header, where the header was damaged; else a report that it is in the
    quarantine, where it is first. `put_aside` says whether it is there.
    """

    def __init__(self, ordinal: int, why: str, folder: Path, spool: UUID) -> None:
        self.put_aside = False
        self._ordinal = ordinal
        self._why = why
        self._folder = folder
        self._spool = spool

    def __call__(self, ready: Ready) -> Sequence[Draft]:
        """Return the drafts of the batch that was refused."""
        if ready.ordinal != self._ordinal:
            return ()
        true = truly(ready)
        return [true] if true is not None else [self._report(ready)]

    def _report(self, ready: Ready) -> Draft:
        batch = ready.batch
        name = f"refused-{batch.writer}-{batch.sequence}.{'json' if batch.kind == 'control' else 'arrow'}"
        keep_aside(self._folder, name, batch.payload)
        self.put_aside = True
        event = sidecar_loss(
            self._spool,
            batch.writer,
            "refused",
            None if batch.kind == "control" else batch.events,
            decision_point=named_point(batch.decision_point),
            sequences=[batch.sequence, batch.sequence],
            why=words(self._why),
            file=name,
        )
        return control(event)


def truly(ready: Ready) -> Draft | None:
    """Return a batch of columns under the header that its payload tells; None where it has that one already.

    None also for what is no columns, and for a decision point that no log has: no payload tells it.
    """
    from recorders.columns import decode_batch, occurred_range
    from recorders.sidecar.compose import OUTCOME_SCHEMA_DIGEST

    batch = ready.batch
    try:
        columns = decode_batch(batch.payload)
    except CorruptBatch:
        return None
    if not columns.num_rows or not batch.decision_point or named_point(batch.decision_point) == "":
        return None
    kind = "outcome" if "label" in columns.schema.names else "decision"
    told = (columns.schema.metadata or {}).get(b"schema_digest", b"").decode("ascii", "replace")
    schema = OUTCOME_SCHEMA_DIGEST if kind == "outcome" else told or batch.schema_digest
    first, last = occurred_range(columns)
    true = (kind, schema, columns.num_rows, first, last)
    if true == (batch.kind, batch.schema_digest, batch.events, batch.occurred_min, batch.occurred_max):
        return None
    return Draft(
        kind,
        batch.decision_point,
        schema,
        columns.num_rows,
        first,
        last,
        batch.payload,
        digest(batch.payload),
        (),
    )
