"""The rivals of a champion on the decisions held out: trained on recent data, on all, and recalibrated."""

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from harness.experiments import Experiment
from harness.log.log import Log
from harness.measured_part import MeasuredPart, Question, measure_part
from harness.proof_facts import Past, facts_of, held_out, past_of, signs_of
from harness.proof_inputs import inputs_of
from harness.slice_columns import slice_evidence
from policies.columns import Floats
from policies.contenders import Contender
from policies.evidence import Evidence
from policies.fold import fold
from policies.recalibration import Recalibration, recalibrate
from policies.seen import Rivalry
from replay.model import ModelInfo


def rivalry_of(log: Log, question: Question, found: MeasuredPart) -> Rivalry:
    """Return all that the proof reads over the question's range; `found` is what its challenger measured.

    A function of the log: the past is read as it was known before the first decision held out, so that it is
    the same at every look.
    """
    experiment, places = question.experiment, (question.start, question.stop)
    past = past_of(log, experiment, question.start)
    moved = recalibrate(past.scores, past.labels) if past.calibrates else None
    others = _against(experiment, _all(experiment))
    whole = measure_part(log, msgspec.structs.replace(question, experiment=others), *places)
    contenders = [
        _challenger(log, experiment.challenger, "recent", found, question, moved),
        _challenger(log, _all(experiment), "all", whole, question, moved),
    ]
    if moved is not None:
        contenders.append(_recalibrated(log, found, question, moved, past))
    held = held_out(log, question)
    inputs = inputs_of(log, question, (past.start, past.stop))
    return Rivalry(
        facts=facts_of(log, question, found, held, inputs, contenders),
        contenders=contenders,
        signs=signs_of(past, held, inputs.answer),
    )


def _all(experiment: Experiment) -> ModelInfo:
    assert experiment.all is not None, "a plan of retraining has its rivals"
    return experiment.all


def _against(experiment: Experiment, model: ModelInfo) -> Experiment:
    """Return the same question about another challenger; the champion's noise is known already."""
    return msgspec.structs.replace(experiment, challenger=model, rescore=None)


def _challenger(
    log: Log,
    model: ModelInfo,
    name: Literal["recent", "all"],
    part: MeasuredPart,
    question: Question,
    moved: Recalibration | None,
) -> Contender:
    plan, table = question.experiment.plan, _measured(part)
    rival = None
    if moved is not None:
        again = moved_scores(table.column("champion_score"), moved)
        rival = fold(_judged(table, "champion", again), plan)
    assert model.trained_until is not None, "registration checks it"
    return Contender(
        name=name,
        champion=part.evidence,
        rival=rival,
        slices=dict(_slices(log, table, question)),
        trained_until=model.trained_until,
        failed=part.account.failed,
        given=part.account.scored + part.account.failed,
    )


def _recalibrated(
    log: Log, part: MeasuredPart, question: Question, moved: Recalibration, past: Past
) -> Contender:
    table = _measured(part)
    table = _judged(table, "challenger", moved_scores(table.column("champion_score"), moved))
    return Contender(
        name="recalibrated",
        champion=fold(table, question.experiment.plan),
        rival=None,
        slices=dict(_slices(log, table, question)),
        trained_until=past.stop - 1,
        given=table.num_rows,
    )


def moved_scores(scores: pa.ChunkedArray, moved: Recalibration) -> pa.Array:
    """Return the champion's scores recalibrated; null where it has none, or one that is no probability."""
    values: Floats = scores.cast(pa.float64()).fill_null(float("nan")).to_numpy()
    known = (values >= 0.0) & (values <= 1.0)
    return pa.array(moved.apply(np.where(known, values, 0.5)), mask=~known)


def _measured(part: MeasuredPart) -> pa.Table:
    assert part.columns is not None, "a proof is measured in one piece"
    return part.columns.measured


def _judged(table: pa.Table, who: str, scores: pa.Array) -> pa.Table:
    """Return the pairs with other scores for `who`, whose decisions on them nobody knows."""
    for name, values in (
        (f"{who}_score", scores),
        (f"{who}_decision", pa.nulls(table.num_rows, pa.string())),
    ):
        table = table.set_column(table.schema.get_field_index(name), name, values)
    return table


def _slices(log: Log, table: pa.Table, question: Question) -> Mapping[str, Evidence]:
    experiment = question.experiment
    places = (question.start, question.stop)
    return slice_evidence(log, table, experiment.plan, experiment.decision_point, places)
