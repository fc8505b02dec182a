"""Model adapters: one module per kind of model."""

from replay.adapters.adapter import Artefact
from replay.adapters.opening import check_adapter, check_digest, open_model, read_artefact

__all__ = ["Artefact", "check_adapter", "check_digest", "open_model", "read_artefact"]
