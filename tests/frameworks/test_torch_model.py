"""`torch:` models: weights as safetensors or weights-only files, in a process of their own."""

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch

from replay.adapters import open_model
from replay.isolation import Limits, open_isolated
from replay.loading_errors import ModelNotLoaded
from replay.model_errors import UnknownModelUri, UntrustedModel
from replay.score import BLOCK_ROWS, score_blocks

BUILDER = """
import torch

def network():
    first, last = torch.nn.Linear(2, 4), torch.nn.Linear(4, 1)
    return torch.nn.Sequential(first, torch.nn.ReLU(), last, torch.nn.Sigmoid())
network.inputs = ("x", "y")
"""
LIMITS = Limits(timeout_s=60.0, memory_mb=8192)


@pytest.fixture
def network(tmp_path):
    torch.manual_seed(3)
    (tmp_path / "late_network.py").write_text(BUILDER)
    made = torch.nn.Sequential(
        torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1), torch.nn.Sigmoid()
    )
    safetensors.torch.save_file(made.state_dict(), tmp_path / "late.safetensors")
    torch.save(made.state_dict(), tmp_path / "late.pt")
    return made


def rows(count):
    rng = np.random.default_rng(1)
    return pa.table(
        {
            "position": np.arange(1, count + 1),
            "decision_id": [f"d{i}" for i in range(count)],
            "f.x": rng.normal(size=count),
            "f.y": rng.normal(size=count),
        }
    )


@pytest.mark.parametrize("name", ["late.safetensors", "late.pt"])
def test_a_network_scores_in_its_own_process_with_equal_bits_for_any_cut(network, tmp_path, name):
    table = rows(BLOCK_ROWS + 5)
    uri = f"torch:{name}?builder=late_network:network"
    with open_isolated(uri, folder=tmp_path, limits=LIMITS) as model:
        assert model.info.inputs == ("x", "y")
        whole = pa.Table.from_batches(score_blocks(model, table.to_batches()))
        parts = [table.slice(0, 7).to_batches()[0], table.slice(7).combine_chunks().to_batches()[0]]
        assert pa.Table.from_batches(score_blocks(model, parts)).equals(whole)
    with torch.inference_mode():
        values = np.column_stack([table["f.x"].to_numpy(), table["f.y"].to_numpy()]).astype(np.float32)
        wanted = network(torch.from_numpy(values)).numpy().ravel()
    np.testing.assert_allclose(whole["score"].to_numpy(), wanted, rtol=1e-5)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_weights_that_are_a_pickle_of_code_are_refused(network, tmp_path):
    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(
        ModelNotLoaded, match="torch does not load it: UnpicklingError: Weights only load failed"
    ):
        open_isolated("torch:evil.pt?builder=late_network:network", folder=tmp_path, limits=LIMITS)


def test_other_weights_than_the_networks_are_refused(network, tmp_path):
    safetensors.torch.save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelNotLoaded, match="its network does not load it"):
        open_isolated("torch:other.safetensors?builder=late_network:network", folder=tmp_path, limits=LIMITS)


def test_it_needs_its_builder_and_a_process_of_its_own(network, tmp_path):
    with pytest.raises(UnknownModelUri, match="no builder"):
        open_isolated("torch:late.safetensors", folder=tmp_path)
    with pytest.raises(UntrustedModel, match="outside a process of its own"):
        open_model("torch:late.safetensors?builder=late_network:network", folder=tmp_path)
