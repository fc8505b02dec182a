"""Opening a challenger: which process it gets, and with which limits."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from replay.adapters.adapter import Artefact
from replay.adapters.opening import ModelSpec, info_of, read_artefact
from replay.adapters.recorded import RecordedModel
from replay.adapters.uri import parse_uri
from replay.isolation.isolated import IsolatedModel
from replay.isolation.limits import Limits
from replay.isolation.remembering import RememberingModel
from replay.model import Model


def open_isolated(
    uri: str,
    *,
    name: str | None = None,
    version: str = "0",
    inputs: Sequence[str] | None = None,
    trained_until: int | None = None,
    artefact: Artefact | None = None,
    folder: Path | None = None,
    limits: Limits | None = None,
) -> IsolatedModel | Model:
    """Return the model that `uri` names, ready to score in a process of its own.

    The arguments are those of `replay.adapters.open_model`. `recorded:champion` runs nobody's code and
    gets no process.

    Raises:
        ModelError: see `open_model`; loading that hangs or crashes is `ModelNotLoaded`.
    """
    spec = ModelSpec(uri, name, version, None if inputs is None else tuple(inputs), trained_until)
    parsed = parse_uri(uri)
    held = artefact or read_artefact(uri, folder)
    if parsed.scheme == "recorded":
        return RecordedModel(info_of(spec, held, ()))
    bounds = msgspec.structs.replace(limits or Limits(), network=parsed.remote)
    if parsed.key is not None:
        return RememberingModel(spec, held, bounds, key=parsed.key)
    return IsolatedModel(spec, held, bounds)
