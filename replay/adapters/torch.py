"""`torch:weights.safetensors?builder=module:attr`: weights that are data, and their network's code."""

import hashlib
import io
from pathlib import Path
from typing import Any

import msgspec

from replay.adapters import python
from replay.adapters.adapter import Artefact, Loaded, named_inputs, read_file
from replay.adapters.bundle import BUNDLE, pack, unpack
from replay.adapters.matrix_model import loaded_by, matrix_call
from replay.adapters.uri import ModelUri
from replay.loading_errors import LibraryMissing
from replay.model_errors import NotAModel, UnknownModelUri

VERSION = 1
_BUILDER = "builder.py"


def read(uri: ModelUri, folder: Path | None) -> tuple[str, bytes]:
    """Return the weights and the builder's source as one bundle."""
    path, weights = read_file(uri, folder)
    _origin, source = python.source_of(_builder(uri), folder)
    name = "weights.safetensors" if path.endswith(".safetensors") else "weights.pt"
    return f"{Path(path).name}{BUNDLE}", pack(uri.text, {name: weights, _BUILDER: source})


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the network in evaluation mode; the builder's attribute `inputs` names its features.

    Its weights are safetensors, or what `torch.load` reads with weights_only: there is no other way.
    """
    files = unpack(uri.text, held.content)
    try:
        import torch

        state: Any
        if "weights.safetensors" in files:
            from safetensors.torch import load as load_safetensors

            state = loaded_by(uri, "safetensors", load_safetensors, files["weights.safetensors"])
        else:
            weights = io.BytesIO(files["weights.pt"])
            state = loaded_by(
                uri, "torch", lambda: torch.load(weights, weights_only=True, map_location="cpu")
            )
    except ImportError as error:
        raise LibraryMissing(uri.text, str(error.name), "torch") from error
    torch.set_num_threads(1)
    source = files[_BUILDER]
    found = python.load_attribute(_builder(uri), _BUILDER, source, hashlib.sha256(source).hexdigest())
    network = found if isinstance(found, torch.nn.Module) else loaded_by(uri, "its builder", found)
    if not isinstance(network, torch.nn.Module):
        raise NotAModel(uri.text, type(network).__name__, ("forward (a torch.nn.Module)",))
    loaded_by(uri, "its network", network.load_state_dict, state)
    network.eval()
    kind = next((weight.dtype for weight in network.parameters()), torch.float32)

    def predict(rows: Any) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(rows).to(kind)).to(torch.float64).numpy()

    own = getattr(found, "inputs", None)
    return Loaded(named_inputs(uri, own), matrix_call(uri, predict))


def _builder(uri: ModelUri) -> ModelUri:
    target = uri.options.get("builder")
    if target is None:
        raise UnknownModelUri(uri.text, "no builder", "?builder=module:attr, the code of the network")
    return msgspec.structs.replace(uri, target=target)
