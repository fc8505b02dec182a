"""Models in the log: registered once with their digest, kept by content, opened only as registered."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import NotFound, UsageError
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.log.payload import decoded
from harness.log.places import parse
from harness.replay_errors import ModelExists
from replay.adapters import Artefact, check_adapter, check_digest, open_model, read_artefact
from replay.adapters.bundle import BUNDLE
from replay.adapters.uri import parse_uri
from replay.isolation import IsolatedModel, open_isolated
from replay.model import Model, ModelInfo
from replay.model_errors import ModelChanged

REGISTERED, PROMOTED = "model.registered", "model.promoted"
STORE = Path(".harness") / "models"


class Champion(msgspec.Struct, frozen=True):
    """Which model decided at a place in the log.

    `promoted` is the last promotion there, None when there was none; `model` and `version` are what the
    last decision recorded there says, None when nothing was recorded. They differ while a promotion has
    not taken effect: `agrees` is False then, and None when one of the two is unknown.
    """

    decision_point: str
    position: int
    time: datetime
    promoted: ControlEvent | None
    model: str | None
    version: str | None
    observed_at: int | None

    @property
    def agrees(self) -> bool | None:
        """Whether the recorded decisions say what the promotion says."""
        if self.promoted is None or self.model is None:
            return None
        return bool(promoted_model(self.promoted) == f"{self.model}:{self.version}")


def add_model(
    log: Log,
    uri: str,
    *,
    name: str,
    version: str,
    trained_until: int | str | datetime | None = None,
    inputs: Sequence[str] | None = None,
    folder: Path | None = None,
) -> ControlEvent:
    """Return the event that registers a model; the same model again answers the same event.

    The model is opened once, in a process of its own, so what cannot score is refused here. Its artefact
    is kept under its digest in `folder`/.harness/models. `trained_until` is the last position that its
    training saw, or a time.

    Raises:
        ModelExists: another model, or another trained-until position, has this name and version.
        AdapterChanged: this one has them, as an earlier program gave it its rows.
        ModelError: see replay.model_errors.
    """
    name, version = _checked_name(name, version)
    home = folder or Path.cwd()
    until = None if parse(trained_until) is None else log.as_of(trained_until).position
    artefact = read_artefact(uri, home)
    model = open_isolated(
        uri, name=name, version=version, inputs=inputs, trained_until=until, artefact=artefact
    )
    info = model.info
    if isinstance(model, IsolatedModel):
        model.close()
    for event in log.controls(REGISTERED, f"{name}:{version}"):
        if info_of(event) != msgspec.structs.replace(info, uri=event.body["uri"]):
            check_adapter(info_of(event), artefact)
            raise ModelExists(name, version, info_of(event), info)
        _keep(home, artefact)
        return event
    _keep(home, artefact)
    body = {**msgspec.to_builtins(info), "artefact": artefact.digest, **_resolved(uri, artefact)}
    return log.control(REGISTERED, f"{name}:{version}", body, key=f"model:{name}:{version}")


def _resolved(uri: str, artefact: Artefact) -> dict[str, str]:
    """Return what an alias of a registry meant when it was resolved, for who reads the log to know."""
    parsed = parse_uri(uri)
    if parsed.scheme != "mlflow" or "@" not in parsed.target:
        return {}
    return {"resolved": artefact.path.removesuffix(BUNDLE)}


def get_model(log: Log, reference: str) -> ModelInfo:
    """Return what is registered under `name:version`.

    Raises:
        NotFound: nothing is; the nearest registered names are in the message.
    """
    return info_of(registration(log, reference))


def list_models(log: Log) -> list[ControlEvent]:
    """Return the registrations in the order of the log."""
    return log.controls(REGISTERED)


def info_of(event: ControlEvent) -> ModelInfo:
    """Return the model that a registration describes."""
    known = {key: value for key, value in event.body.items() if key in ModelInfo.__struct_fields__}
    return msgspec.convert(known, ModelInfo)


def open_registered(log: Log, reference: str, *, folder: Path | None = None) -> Model:
    """Return a registered model, ready to score in this very process, from the bytes that were registered.

    For code that is trusted as the service's own is; `harness.challengers.challenger` isolates.

    Raises:
        NotFound: it is not registered.
        ModelChanged: the bytes are others by now.
        ModelError: see replay.model_errors.
    """
    info, artefact = registered(log, reference, folder)
    model = open_model(
        info.uri,
        name=info.name,
        version=info.version,
        inputs=info.inputs or None,
        trained_until=info.trained_until,
        artefact=artefact,
    )
    check_digest(model, info.digest)
    return model


def registered(log: Log, reference: str, folder: Path | None) -> tuple[ModelInfo, Artefact]:
    """Return what is registered under `name:version`, and its very bytes.

    A file comes out of the store, or from where its URI points when the store lacks it; a module is read
    where it is installed. Either is hashed again.

    Raises:
        NotFound: it is not registered.
        ModelChanged: the bytes are others by now.
        AdapterChanged: they are the same, and this program would give them their rows otherwise.
        ModelNotFound: they are gone.
    """
    event = registration(log, reference)
    info, known = info_of(event), str(event.body["artefact"])
    home = folder or Path.cwd()
    artefact = None if info.adapter == "py" else _kept(home, known)
    artefact = artefact or read_artefact(info.uri, home)
    if artefact.digest != known:
        raise ModelChanged(info.uri, known, artefact.digest)
    check_adapter(info, artefact)
    return info, artefact


def champion_at(log: Log, decision_point: str, when: int | str | datetime | None = None) -> Champion:
    """Return which model was champion at a position or time: by promotion, and by what decisions say."""
    place = log.as_of(when)
    promotions = log.controls(PROMOTED, decision_point, up_to=place.position)
    seen = _last_decision(log, decision_point, place.position)
    model, version, position = seen or (None, None, None)
    return Champion(
        decision_point=decision_point,
        position=place.position,
        time=place.time,
        promoted=promotions[-1] if promotions else None,
        model=model,
        version=version,
        observed_at=position,
    )


def promoted_model(event: ControlEvent) -> str | None:
    """Return the `name:version` that a promotion names."""
    named = event.body.get("model")
    version = event.body.get("version", event.body.get("model_version"))
    return f"{named}:{version}" if version is not None else named


def _last_decision(log: Log, decision_point: str, position: int) -> tuple[str, str, int] | None:
    latest = log.latest(position + 1, kind="decision", decision_point=decision_point)
    if not latest:
        return None
    first, events = latest[0].header.position, latest[0].header.events
    batch = decoded(first, events, latest[0].digest, latest[0].payload)
    row = min(position - first, events - 1)
    return batch.column("model")[row].as_py(), batch.column("model_version")[row].as_py(), first + row


def registration(log: Log, reference: str) -> ControlEvent:
    """Return the event that registered `name:version`.

    Raises:
        NotFound: nothing is registered under it; the nearest names are in the message.
    """
    found = log.controls(REGISTERED, reference)
    if not found:
        raise NotFound("model", reference, {event.subject for event in log.controls(REGISTERED)})
    return found[0]


def _checked_name(name: str, version: str) -> tuple[str, str]:
    for what, text in (("name", name), ("version", version)):
        if not text or ":" in text or text != text.strip():
            raise UsageError(
                f"The model's {what} is {text!r}.",
                "Expected text without colons.",
                "Write it as name and version.",
            )
    return name, version


def _keep(home: Path, artefact: Artefact) -> None:
    """Put the artefact into the store under its digest, whole or not at all; over what was altered there."""
    if not artefact.content:
        return
    path = home / STORE / f"{artefact.digest}{artefact.suffix}"
    if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == artefact.digest:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
        part.write(artefact.content)
        part.flush()
        os.fsync(part.fileno())
    Path(part.name).replace(path)


def _kept(home: Path, digest: str) -> Artefact | None:
    """Return the model file that the store holds under `digest`, None when it holds none; hashed anew."""
    for path in sorted((home / STORE).glob(f"{digest}*")):
        content = path.read_bytes()
        return Artefact(hashlib.sha256(content).hexdigest(), content, path.name)
    return None


def described(event: ControlEvent) -> dict[str, Any]:
    """Return a registration as one flat record, for lists and JSON."""
    return {
        "model": event.subject,
        "registered_at": event.position,
        "recorded_at": event.recorded_at,
        **event.body,
    }
