"""A model that remembers, in step with the log: before it scores, it has observed all that came before."""

import pyarrow as pa

from harness.log.log import Log
from harness.states import fetch, keep, newest_first, since_of
from replay.isolation import Account
from replay.model import ModelInfo, StatefulModel
from replay.score import BLOCK_ROWS, blocks, columns_for

# So many rows are observed in less time than a snapshot of them would be worth.
KEEP_ROWS = 100 * BLOCK_ROWS


class RememberedModel:
    """A `Model` over one log and decision point: what it knows at a position is a function of the log.

    Rows may come in any cut and from any place: those in between are observed from the log, and what was
    scored already, after a lost reply, is gone back to. Close it: its last state is kept then.
    """

    def __init__(self, log: Log, model: StatefulModel, decision_point: str) -> None:
        self._log, self._model, self._decision_point = log, model, decision_point
        self._since = since_of(model.info)
        self._through = self._since - 1
        # Whether the model knows just what `_through` says: not before it was asked, nor after it failed.
        self._in_step = False
        self._unkept = 0

    @property
    def info(self) -> ModelInfo:
        """What identifies the model."""
        return self._model.info

    @property
    def account(self) -> Account:
        """What its process cost so far; nothing of one without a process."""
        return getattr(self._model, "account", None) or Account()

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return one score row for each row; see `replay.model.Model`.

        Raises:
            StateLost: it failed to observe. StateAltered: a snapshot is not what was kept.
        """
        positions = columns.column("decision_position")
        if not columns.num_rows:
            return self._model.score(columns)
        self._come_to(positions[0].as_py())
        self._in_step = False
        scores = self._model.score(columns)
        self._went(positions[-1].as_py(), columns.num_rows)
        return scores

    def close(self) -> None:
        """Keep what it knows, for whoever goes on from here."""
        if self._in_step and self._unkept >= BLOCK_ROWS:
            self._keep()

    def _come_to(self, position: int) -> None:
        """Know what all decisions before a position make known."""
        if not self._in_step or self._through >= position:
            self._go_back(position)
        names = columns_for(self.info)
        batches = self._log.read(
            self._through + 1,
            position,
            kind="decision",
            decision_point=self._decision_point,
            columns=names,
        )
        for block in blocks(batches, names):
            self._in_step = False
            self._model.observe(block)
            self._went(block.column("decision_position")[-1].as_py(), block.num_rows)
        self._through = max(self._through, position - 1)

    def _go_back(self, position: int) -> None:
        """Know what the newest snapshot from before a position knew, or what it knew when it was loaded."""
        self._in_step, self._unkept = False, 0
        for kept in newest_first(self._log, self.info, self._decision_point, before=position):
            state = fetch(self._log, kept)
            if state is not None:
                self._model.restore(state)
                self._through, self._in_step = kept.through, True
                return
        self._model.reset()
        self._through, self._in_step = self._since - 1, True

    def _went(self, through: int, rows: int) -> None:
        self._through, self._in_step = through, True
        self._unkept += rows
        if self._unkept >= KEEP_ROWS:
            self._keep()

    def _keep(self) -> None:
        keep(self._log, self.info, self._decision_point, self._through, self._model.snapshot())
        self._unkept = 0
