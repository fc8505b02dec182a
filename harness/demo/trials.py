"""A challenger's way through the demo: training set, training, registration, experiment, verdict."""

import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from harness.demo.calendar import local
from harness.demo.figures import between, naive_z, paired_losses
from harness.demo.folder import packaged
from harness.demo.models import new_challenger, save, train
from harness.demo.story import LookLine, Trial
from harness.demo.stream import LABEL
from harness.experiment_file import Champion, ExperimentFile
from harness.experiment_status import shown
from harness.experiments import Experiment, register
from harness.log.log import Log
from harness.looks import conclusion, stored_looks
from harness.models import PROMOTED, add_model, get_model
from harness.training.folder import TrainingSet
from harness.training.sets import create_training_set
from harness.verdicts import approve

POINT = "flights.late"
WINDOW = timedelta(hours=24)
URI = "sklearn:models/{file}?method=predict_proba&class=1&nulls=pass&threshold=0.4&decisions=late,on_time"


def install_champion(log: Log, folder: Path, model: Any, reference: str) -> None:
    """Register the model that decides from the first day on, and say so: it was there before the log."""
    _register(log, folder, model, reference, None)
    info = get_model(log, reference)
    body = {
        "decision_point": POINT,
        "model": info.name,
        "version": info.version,
        "digest": info.digest,
        "reason": "In service when the log begins.",
    }
    log.control(PROMOTED, POINT, body, key=f"promotion:{POINT}:first")


def _register(log: Log, folder: Path, model: Any, reference: str, trained_until: int | None) -> None:
    """Save a fitted model in the folder and register it under `name:version`."""
    name, _, version = reference.partition(":")
    file = f"{name}-{version}.skops"
    (folder / "models").mkdir(exist_ok=True)
    save(model, folder / "models" / file)
    add_model(
        log, URI.format(file=file), name=name, version=version, trained_until=trained_until, folder=folder
    )


class Contender(msgspec.Struct, frozen=True):
    """A registered challenger with its experiment and the training set that it comes from."""

    experiment: Experiment
    training_set: TrainingSet
    as_of: datetime
    champion: str


def enter(log: Log, folder: Path, file: str, champion: str, *, sample: int = 1) -> Contender:
    """Return the challenger of an experiment file, trained on all that is known now and registered.

    The training set is read back from its Parquet parts: what a data scientist would be handed.
    """
    place = log.as_of(None)
    training_set = create_training_set(
        log,
        decision_point=POINT,
        start=1,
        stop=place.position + 1,
        as_of=place.position,
        label=LABEL,
        window=WINDOW,
        out_dir=folder / "training-sets" / f"{local(place.time):%Y-%m-%d}",
    )
    rows = training_set.to_pandas()
    model = train(new_challenger(), rows.rename(columns=_plain), rows["label"])
    declared = _declared(file, champion, sample)
    _register(log, folder, model, declared.challenger.model, place.position)
    return Contender(register(log, declared), training_set, place.time, champion)


def _plain(column: str) -> str:
    return column.removeprefix("f.")


def _declared(file: str, champion: str, sample: int) -> ExperimentFile:
    """Return the experiment as its file says it, against the model that does decide by then.

    A demo on one flight in `sample` asks for as many decisions fewer.
    """
    declared = msgspec.convert(tomllib.loads(packaged(file)), ExperimentFile)
    policy = declared.policy
    fewer = msgspec.structs.replace(policy, min_decisions=max(1, policy.min_decisions // sample))
    return msgspec.structs.replace(declared, champion=Champion(rescore=champion), policy=fewer)


def end(log: Log, contender: Contender) -> bool:
    """Approve a recorded PROMOTE, which promotes the challenger; return whether there was one."""
    name = contender.experiment.id
    reached = conclusion(log, name)
    if reached is None or reached.body["state"] != "PROMOTE":
        return False
    reason = "The registered rule says so; it decides from the end of its window on."
    approve(log, name, by="operations@flights.example", reason=reason)
    return True


def tell(
    log: Log,
    contender: Contender,
    decisions: pd.DataFrame,
    *,
    live: datetime | None,
) -> Trial:
    """Return what became of a challenger: from the log, and from the labelled live decisions.

    `live` is when it began to decide, None when it never did.
    """
    experiment, training_set = contender.experiment, contender.training_set
    taken = [(each, shown(each)) for each in stored_looks(log, experiment.id)]
    start, stop = experiment.bounds.start, experiment.bounds.stop
    assert isinstance(start, datetime), "the demo's windows are times"
    assert isinstance(stop, datetime), "the demo's windows are times"
    losses = paired_losses(log, between(decisions, start, stop), experiment.challenger.digest, POINT)
    z = naive_z(losses, [row.time for _, row in taken], window=WINDOW)
    last = taken[-1][0].look.verdict
    primary = next(each for each in last.estimates if each.role == "primary")
    assert primary.champion is not None, "two months hold mature decisions"
    assert primary.challenger is not None, "two months hold mature decisions"
    return Trial(
        experiment=experiment.id,
        challenger=experiment.declared.challenger.model,
        champion=contender.champion,
        training_set=training_set.id,
        training_digest=training_set.digest,
        training_rows=int(training_set.manifest["rows"]),
        as_of=contender.as_of,
        looks=tuple(
            LookLine(row.time, row.units, row.used, row.point, row.e_value, row.state, each)
            for (_, row), each in zip(taken, z, strict=True)
        ),
        state=last.state,
        over=taken[-1][1].time >= stop + WINDOW,
        promoted_at=live,
        champion_brier=primary.champion,
        challenger_brier=primary.challenger,
    )
