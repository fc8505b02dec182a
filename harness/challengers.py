"""Registered models opened for scoring: each in a process of its own, within the limits set here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from harness.config import FILE, LIMITS, Config
from harness.errors import ConfigError
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.models import open_registered, registered
from harness.remembered import RememberedModel
from replay.adapters import check_digest
from replay.isolation import Account, IsolatedModel, Limits, open_isolated
from replay.model import Model, ModelInfo, StatefulModel

MEASURED = "replay.measured"


@contextmanager
def challenger(
    log: Log,
    reference: str,
    *,
    decision_point: str,
    folder: Path | None = None,
    limits: Limits | None = None,
) -> Iterator[Model]:
    """Yield a registered model, from the very bytes that were registered, in a process of its own.

    `limits` None: those of harness.toml. A model that remembers observes the decisions of `decision_point`
    that lie before those that it scores.

    Raises:
        NotFound, ModelError: see `harness.models.open_registered`.
    """
    bounds = limits or limits_of(folder)
    with _opened(log, reference, folder, bounds) as model:
        if not isinstance(model, StatefulModel):
            yield model
            return
        remembered = RememberedModel(log, model, decision_point)
        yield remembered
        remembered.close()


@contextmanager
def _opened(log: Log, reference: str, folder: Path | None, bounds: Limits) -> Iterator[Model]:
    if bounds.in_process:
        yield open_registered(log, reference, folder=folder)
        return
    info, artefact = registered(log, reference, folder)
    model = open_isolated(
        info.uri,
        name=info.name,
        version=info.version,
        inputs=info.inputs or None,
        trained_until=info.trained_until,
        artefact=artefact,
        limits=bounds,
    )
    try:
        check_digest(model, info.digest)
        yield model
    finally:
        if isinstance(model, IsolatedModel):
            model.close()


def limits_of(
    folder: Path | None, *, in_process: bool = False, timeout: float | None = None, memory: int | None = None
) -> Limits:
    """Return the limits: what is given here, else section [challengers] of harness.toml, else the default.

    Raises:
        ConfigError: a value that no limit can have.
    """
    said = dict(Config.load(folder).sections.get("challengers", {}))
    given = {"timeout_s": timeout, "memory_mb": memory}
    said |= {name: value for name, value in given.items() if value is not None}
    try:
        limits = msgspec.convert(said | {"in_process": in_process}, Limits)
    except msgspec.ValidationError as error:
        raise ConfigError(f"[challengers] in {FILE}: {error}.", "Expected numbers.", "Correct it.") from error
    for name in LIMITS:
        if not getattr(limits, name) > 0:
            where = "where it was given" if given.get(name) is not None else f"in [challengers] of {FILE}"
            raise ConfigError(
                f"{name} = {getattr(limits, name)} is no limit of challengers.",
                "Expected a number above 0.",
                f"Correct it {where}.",
            )
    return limits


def keep_account(log: Log, model: Model, run_id: str) -> None:
    """Append what the model cost and did during a run, as `replay.measured`; in-process nothing is known.

    It is an event of its own and no part of the run: the scores of two runs are equal, their times are not.
    """
    keep_costs(log, model.info, account_of_model(model), run_id)


def keep_costs(log: Log, info: ModelInfo, account: Account, run_id: str) -> None:
    """Append an account as `replay.measured`; nothing when no process was started."""
    if account.starts:
        named = {"model": f"{info.name}:{info.version}", "model_digest": info.digest}
        log.control(MEASURED, run_id, named | account.to_log())


def account_of_model(model: Model) -> Account:
    """Return what the process of a model cost so far; nothing in-process."""
    return model.account if isinstance(model, IsolatedModel | RememberedModel) else Account()


def account_since(model: Model) -> Account:
    """Return what the process of a model cost since this was asked last."""
    return model.take_account() if isinstance(model, IsolatedModel) else account_of_model(model)


def account_of(events: list[ControlEvent]) -> dict[str, Any]:
    """Return the accounts of `replay.measured` events added up, as plain values."""
    total = Account()
    for event in events:
        total.merge(Account.from_log(event.body))
    return total.as_dict()


def row_latencies(log: Log, model_digest: str, *, up_to: int) -> dict[int, int]:
    """Return the microseconds that single decisions took a challenger, by their position; a sample of them.

    `up_to` is the last log position that exists for the caller. The first measurement counts.
    """
    found: dict[int, int] = {}
    for event in log.controls(MEASURED, up_to=up_to):
        if event.body["model_digest"] == model_digest:
            found = dict(event.body["row_samples"]) | found
    return found
