"""A model that answers block by block: its guard, its canonical calls and what its answers mean."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recorders.columns import SCORE_SCHEMA
from replay.adapters.answers import Answer, Output, Scores, Texts, absent, unusable
from replay.adapters.forms import VALUE, fill_nulls
from replay.adapters.guard import CallFailed, guard
from replay.adapters.reasons import GIVEN_UP, MISSING
from replay.columns import FEATURE
from replay.digest import canonical_digest
from replay.model import ModelInfo
from replay.model_errors import ModelInputsError, ModelUnavailable
from replay.score import BLOCK_ROWS

# How often one block may cost the challenger its process before its other rows are given up: two bad rows
# among 1,024 are found in 22.
KILLS_PER_BLOCK = 24
VERIFY_EVERY = 8

Rows = npt.NDArray[np.int64]
# The answer of a call, or why there is none.
Outcome = tuple[Answer | None, CallFailed | None]
Asked = Callable[[Sequence[pa.RecordBatch]], Iterable[Outcome]]


class _Prepared(NamedTuple):
    """A block's inputs, the errors of its rows that lack one, and the ordinals of the others."""

    features: pa.RecordBatch
    errors: Texts
    good: Rows


def answer_in(outcome: Outcome) -> Answer:
    """Return the answer of a call; raises `CallFailed` when there is none."""
    answer, failed = outcome
    if failed is not None:
        raise failed
    assert answer is not None, "what did not fail has an answer"
    return answer


def _column(texts: Texts) -> pa.Array:
    """Return texts as a column. Mostly there is none, which is known sooner than made of each."""
    rows: int = texts.size
    return pa.nulls(rows, pa.string()) if texts.tolist().count(None) == rows else pa.array(texts, pa.string())


class JoinedCalls:
    """What was seen of calls that held several canonical blocks.

    All blocks of the first call are asked alone as well, then one block of every eighth call, each time the
    next one. Other bits once, or a second failure, and no more calls are joined; `apart`
    is then what differed.
    """

    def __init__(self) -> None:
        self.calls = self.verified = self.mismatched = self.failed = 0
        self.apart: tuple[pa.RecordBatch, pa.RecordBatch] | None = None

    @property
    def counts(self) -> dict[str, int]:
        """What an account has of it."""
        return {name: getattr(self, name) for name in ("calls", "verified", "mismatched", "failed")}

    @property
    def ended(self) -> bool:
        """Whether blocks are asked one by one from now on."""
        return self.mismatched > 0 or self.failed > 1

    def since(self, before: "JoinedCalls") -> "JoinedCalls":
        """Return what was counted since then; what differed stays with the one that saw it."""
        found, earlier = JoinedCalls(), before.counts
        for name, count in self.counts.items():
            setattr(found, name, count - earlier[name])
        return found

    def due(self, blocks: int) -> range:
        """Return the blocks of the next call to ask alone as well."""
        if not self.calls:
            return range(blocks)
        turn, rest = divmod(self.calls, VERIFY_EVERY)
        return range(0) if rest else range(turn % blocks, turn % blocks + 1)

    def same(self, joined: pa.RecordBatch, alone: pa.RecordBatch) -> bool:
        """Return whether both are the same bits, and count it."""
        self.verified += 1
        equal = canonical_digest([joined]) == canonical_digest([alone])
        if not equal:
            self.mismatched += 1
            self.apart = joined, alone
        return equal


class BlockModel:
    """A Model on top of any `call(block) -> scores, decisions`; a failure is a row, never a lost batch.

    Every call gets `rows` rows, a shorter one is filled up with its last row: the number of rows
    decides the last bits of a BLAS product. When a call fails, its rows are halved until those that it
    cannot score are alone, so their neighbours keep the scores that they would have had.

    `nulls`: "error" makes a row that lacks an input an error, which the model never sees; "pass" hands
    nulls over; "value:-1" hands over that value in their place, or makes the row an error where its type
    holds no such value.
    """

    def __init__(
        self,
        info: ModelInfo,
        call: Callable[[pa.RecordBatch], Answer],
        *,
        output: Output,
        nulls: str,
        rows: int = BLOCK_ROWS,
    ) -> None:
        self.info = info
        self._call = call
        self._output = output
        self._nulls = nulls
        self._call_rows = rows
        self.joined = JoinedCalls()

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return one score row for each row; see `replay.model.Model`.

        Raises:
            ModelUnavailable: what scores does not answer, whatever it is asked.
        """
        return self._completed(columns, self._prepared(columns), None)

    def score_through(self, blocks: Sequence[pa.RecordBatch], ask: Asked) -> Iterator[pa.RecordBatch]:
        """Yield what `score` returns for each block; `ask` is asked the whole ones at once, each a call.

        It returns what each call gave or why it failed, in order, and may leave out the last ones: they are
        asked as `score` asks them.

        Raises:
            ModelUnavailable: as `score`.
        """
        prepared = [self._prepared(block) for block in blocks]
        whole = [self._call_rows == one.good.size == one.features.num_rows for one in prepared]
        wanted = [one.features for one, is_whole in zip(prepared, whole, strict=True) if is_whole]
        known = iter(ask(wanted) if wanted else ())
        for block, one, is_whole in zip(blocks, prepared, whole, strict=True):
            yield self._completed(block, one, next(known, None) if is_whole else None)

    def _prepared(self, columns: pa.RecordBatch) -> _Prepared:
        features = self.features(columns)
        errors = self._missing(features)
        return _Prepared(features, errors, np.flatnonzero(absent(errors)))

    def _completed(self, columns: pa.RecordBatch, of: _Prepared, known: Outcome | None) -> pa.RecordBatch:
        """Return the rows of scores; `known` is what the call of a whole block gave, when it was made."""
        scores, decisions = np.full(columns.num_rows, np.nan), np.full(columns.num_rows, None, dtype=object)
        found = (scores, decisions, of.errors)
        for at in range(0, of.good.size, self._call_rows):
            self._fill(of.features, of.good[at : at + self._call_rows], found, known)
        return self._rows(columns, found)

    def score_joined(self, columns: pa.RecordBatch) -> pa.RecordBatch | None:
        """Return the scores of whole blocks from one call; see `replay.model.Joins`."""
        if self.joined.ended:
            return None
        features = self.features(columns)
        if self._nulls != "pass" and any(column.null_count for column in features.columns):
            return None
        result, failed = guard(self._answered, features, features.num_rows)
        if failed is not None:
            self.joined.failed += 1
            return None
        joined = self._rows(columns, result)
        for at in self.joined.due(columns.num_rows // BLOCK_ROWS):
            block = slice(at * BLOCK_ROWS, (at + 1) * BLOCK_ROWS)
            if not self.joined.same(joined[block], self.score(columns[block])):
                return None
        self.joined.calls += 1
        return joined

    def _rows(self, columns: pa.RecordBatch, found: tuple[Scores, Texts, Texts]) -> pa.RecordBatch:
        """Return the answers as rows of scores; what failed has neither score nor decision."""
        scores, decisions, errors = found
        failed = ~absent(errors)
        decisions[failed] = None
        return pa.RecordBatch.from_arrays(
            [
                columns.column("decision_position"),
                columns.column("decision_id"),
                pa.array(scores, pa.float64(), mask=failed | np.isnan(scores)),
                _column(decisions),
                _column(errors),
            ],
            schema=SCORE_SCHEMA,
        )

    def features(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return the model's inputs by their names, in its order.

        Raises:
            ModelInputsError: `columns` lack one of them.
        """
        wanted = [FEATURE + name for name in self.info.inputs]
        names = set(columns.schema.names)
        lacking = [name.removeprefix(FEATURE) for name in wanted if name not in names]
        if lacking:
            raise ModelInputsError(lacking, [n.removeprefix(FEATURE) for n in names if n.startswith(FEATURE)])
        features = columns.select(wanted).rename_columns(list(self.info.inputs))
        untyped = [i for i, field in enumerate(features.schema) if pa.types.is_null(field.type)]
        for i in untyped:  # no row of the block has it: floats hold it when nulls may pass
            features = features.set_column(i, self.info.inputs[i], features.column(i).cast(pa.float64()))
        return fill_nulls(features, self._nulls) if self._nulls.startswith(VALUE) else features

    def complete(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        """Return the inputs of the rows that lack none of those that they must have.

        Raises:
            ModelInputsError: `columns` lack one of them.
        """
        features = self.features(columns)
        good = absent(self._missing(features))
        return features if good.all() else features.filter(pa.array(good))

    def _missing(self, features: pa.RecordBatch) -> Texts:
        """Return the error of each row that lacks an input, None for the others."""
        errors = np.full(features.num_rows, None, dtype=object)
        if self._nulls == "pass":
            return errors
        for name, column in zip(reversed(features.schema.names), reversed(features.columns), strict=True):
            if column.null_count:
                errors[np.asarray(pc.is_null(column))] = MISSING + name
        return errors

    def _fill(
        self, features: pa.RecordBatch, rows: Rows, found: tuple[Scores, Texts, Texts], known: Outcome | None
    ) -> None:
        """Write the results of `rows` (at most a call's) into the three columns; `known` as `_completed`."""
        scores, decisions, errors = found
        open_parts, kills = [rows], 0
        while open_parts:
            part = open_parts.pop()
            if kills >= KILLS_PER_BLOCK:
                errors[part] = f"{GIVEN_UP}{kills} kills in its block"
                continue
            result, failed = guard(self._canonical, features, part, known)
            known = None
            if failed is None:
                scores[part], decisions[part], errors[part] = result
                continue
            kills += failed.killed
            if failed.whole:
                raise ModelUnavailable(self.info.name, failed.reason)
            if part.size == 1:
                errors[part] = failed.reason
            else:
                open_parts += [part[part.size // 2 :], part[: part.size // 2]]

    def _canonical(
        self, features: pa.RecordBatch, rows: Rows, known: Outcome | None
    ) -> tuple[Scores, Texts, Texts]:
        if known is not None:
            return self._read(answer_in(known), rows.size)
        if rows.size == features.num_rows == self._call_rows:
            block = features
        else:
            padded = np.concatenate([rows, np.repeat(rows[-1:], self._call_rows - rows.size)])
            block = features.take(pa.array(padded))
        return self._answered(block, rows.size)

    def _answered(self, block: pa.RecordBatch, rows: int) -> tuple[Scores, Texts, Texts]:
        """Return what the model says of the first `rows` rows of a block."""
        return self._read(self._call(block), rows)

    def _read(self, answer: Answer, rows: int) -> tuple[Scores, Texts, Texts]:
        scores, decisions = answer[0][:rows], answer[1][:rows]
        none = absent(decisions)
        bad = np.isinf(scores) | (np.isnan(scores) & none)
        errors = np.full(rows, None, dtype=object)
        errors[bad] = [f"score is {value}" for value in scores[bad]]
        if not none.all():
            for at, why in unusable(decisions).items():
                errors[at] = why
        return scores, self._decided(scores, decisions, bad), errors

    def _decided(self, scores: Scores, decisions: Texts, bad: npt.NDArray[np.bool_]) -> Texts:
        threshold = self._output.threshold
        if threshold is None:
            return decisions
        yes, no = self._output.decisions
        chosen = np.where(scores >= threshold, yes, no).astype(object)
        return np.where(bad | ~absent(decisions), decisions, chosen)
