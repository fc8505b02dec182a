"""`harness model check`: a model tried on recorded rows and on odd ones, before it is a challenger."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from harness.challengers import limits_of
from harness.errors import UsageError
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.log.places import parse
from harness.models import REGISTERED, registered
from harness.replay_errors import NothingToScore
from replay.adapters import Artefact, read_artefact
from replay.adapters.uri import OPTIONS, parse_uri
from replay.checks import Finding, check_model
from replay.columns import FEATURE
from replay.isolation import IsolatedModel, Limits, open_isolated
from replay.latency import Latencies
from replay.model import ModelInfo
from replay.model_errors import ModelInputsError
from replay.score import JOINED

CHECKED = "model.checked"
ROWS = 2_048


class Checked(msgspec.Struct, frozen=True):
    """What a check found. `claim`: replays of it agree to the `bit`, to `digits`, or on `nothing`.

    `joined`: so many canonical blocks in one call have the bits of each alone.
    """

    model: str
    digest: str
    decision_point: str
    positions: tuple[int, int]
    rows: int
    claim: str
    findings: tuple[Finding, ...]
    joined: int = 1

    @property
    def state(self) -> str:
        """The worst state of its findings."""
        states = {finding.state for finding in self.findings}
        return next(state for state in ("fail", "warn", "pass") if state in states)


class Question(msgspec.Struct, frozen=True):
    """What to check and on which rows: `name` is a URI or a registered `name:version`.

    `trained_until` is the place that the training of a URI's model saw last; of a registered one it is known.
    """

    name: str
    decision_point: str
    start: int
    stop: int
    rows: int = ROWS
    inputs: tuple[str, ...] | None = None
    trained_until: int | str | None = None


def check(
    log: Log, question: Question, *, folder: Path | None = None, limits: Limits | None = None
) -> Checked:
    """Return what was found. Of a registered model it is appended as `model.checked` too.

    Raises:
        NothingToScore: no decision there.
        ModelError: it cannot be opened; see replay.model_errors.
    """
    bounds = limits or limits_of(folder)
    info, artefact = _named(log, question, folder)
    if info.adapter == "recorded":
        raise UsageError(
            "recorded:champion runs no code.", "Expected a model that scores.", "Check another one."
        )

    def opened() -> IsolatedModel:
        model = open_isolated(
            info.uri,
            name=info.name,
            version=info.version,
            inputs=info.inputs or None,
            trained_until=info.trained_until,
            artefact=artefact,
            limits=bounds,
        )
        assert isinstance(model, IsolatedModel), "only the recorded champion has no process"
        return model

    with opened() as model:
        rows, latencies = _sample(log, question, model.info)
        threshold = parse_uri(info.uri).options.get("threshold")
        findings = check_model(
            model,
            opened,
            rows,
            first_position=question.start,
            threshold=None if threshold is None else float(threshold),
            latency_us=latencies.summary(),
        )
        checked = Checked(
            question.name,
            model.info.digest,
            question.decision_point,
            (question.start, question.stop),
            rows.num_rows,
            claim_of(findings),
            tuple(findings),
            next((f.figures["joined"] for f in findings if f.check == "joined blocks"), 1),
        )
    _keep(log, checked)
    return checked


def may_join(log: Log, model_digest: str) -> bool:
    """Return whether the last check of a model found that JOINED blocks in one call keep their bits."""
    found = [event.body for event in log.controls(CHECKED) if event.body["digest"] == model_digest]
    return bool(found) and found[-1]["claim"] == "bit" and found[-1].get("joined", 1) == JOINED


def claim_of(findings: Sequence[Finding]) -> str:
    """Return what replays of a model with these findings agree on.

    >>> claim_of([Finding("row order", "warn", "")])
    'digits'
    """
    states = {finding.check: finding.state for finding in findings}
    exact = ("contract", "determinism", "fresh process", "batch size", "snapshot")
    beside = ("row order", "other keys", "prefix")
    if any(states.get(name) == "fail" for name in (*exact, *beside)):
        return "nothing"
    return "digits" if any(states.get(name) == "warn" for name in beside) else "bit"


def _named(log: Log, question: Question, folder: Path | None) -> tuple[ModelInfo, Artefact]:
    """Return the registered model of that name, or what the URI says."""
    home = folder or Path.cwd()
    if question.name.partition(":")[0] in OPTIONS and not log.controls(REGISTERED, question.name):
        artefact = read_artefact(question.name, home)
        parsed = parse_uri(question.name)
        last = question.trained_until
        until = None if parse(last) is None else log.as_of(last).position
        named = (parsed.target, "0", "", parsed.scheme, question.name, question.inputs or (), until)
        return ModelInfo(*named), artefact
    if question.trained_until is not None or question.inputs is not None:
        raise UsageError(
            f"{question.name} is registered, with its inputs and up to where it was trained.",
            "Expected --inputs and --trained-until beside a URI alone.",
            'Leave them out: "harness model show" tells what is registered.',
        )
    return registered(log, question.name, folder)


def _sample(log: Log, question: Question, info: ModelInfo) -> tuple[pa.Table, Latencies]:
    """Return the first rows of the range with the model's inputs, and what the champion's answers took."""
    batches: list[pa.RecordBatch] = []
    taken, latencies = 0, Latencies()
    place = (question.start, question.stop)
    for batch in log.read(*place, kind="decision", decision_point=question.decision_point):
        part = batch.slice(0, question.rows - taken)
        took = part.column("latency_us").drop_null()
        latencies.extend(took.to_pylist())
        batches.append(part)
        taken += part.num_rows
        if taken >= question.rows:
            break
    if not batches:
        raise NothingToScore(question.decision_point, *place)
    table = pa.concat_tables([pa.Table.from_batches([b]) for b in batches], promote_options="permissive")
    wanted = [FEATURE + name for name in info.inputs]
    lacking = [name.removeprefix(FEATURE) for name in wanted if name not in table.schema.names]
    if lacking:
        known = [name.removeprefix(FEATURE) for name in table.schema.names if name.startswith(FEATURE)]
        raise ModelInputsError(lacking, known)
    return table.select(["position", "decision_id", *dict.fromkeys(wanted)]), latencies


def _keep(log: Log, checked: Checked) -> ControlEvent | None:
    if not log.controls(REGISTERED, checked.model):
        return None
    body: dict[str, Any] = msgspec.to_builtins(checked) | {"state": checked.state}
    figures = [{key: finding[key] for key in ("check", "state", "found")} for finding in body["findings"]]
    return log.control(CHECKED, checked.model, body | {"findings": figures})
