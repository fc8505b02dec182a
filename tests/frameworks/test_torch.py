"""A training set in PyTorch: every row once, shared out by worker and rank, resumed in the middle."""

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch.utils.data import DataLoader

from harness.training.errors import StateOfAnother
from tests.support.training import handed_off


@pytest.fixture
def made(event_log, tmp_path):
    return handed_off(event_log, tmp_path)


def positions(loader):
    return [int(place) for batch in loader for place in batch["position"]]


def test_batches_are_the_rows_of_the_set(made):
    rows = made.to_torch(batch_size=128)
    batches = list(DataLoader(rows, batch_size=None))
    frame = made.to_pandas()
    assert set(batches[0]) == {"amount", "items", "kind", "label"}
    amount = torch.cat([batch["amount"] for batch in batches])
    assert amount.dtype == torch.float32
    assert np.array_equal(amount.numpy(), frame.amount.to_numpy(np.float32), equal_nan=True)
    assert torch.cat([batch["items"] for batch in batches]).dtype == torch.int64
    assert [name for batch in batches for name in batch["kind"]] == frame.kind.tolist()
    whole = made.to_torch(batch_size=64, columns=["amount", "label"], dtype=torch.float64, split="test")
    label = torch.cat([batch["label"] for batch in whole])
    assert np.array_equal(label.numpy(), made.to_pandas("test").label)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_share_every_row_once(made, workers):
    rows = made.to_torch(batch_size=32, columns=["position"], seed=3)
    found = positions(DataLoader(rows, batch_size=None, num_workers=workers))
    assert sorted(found) == made.to_arrow()["position"].to_pylist()
    assert found != sorted(found)


def test_an_epoch_has_its_own_order_and_it_is_the_same_everywhere(made):
    first, second = (made.to_torch(batch_size=50, columns=["position"], seed=7) for _ in range(2))
    assert positions(first) == positions(second)
    second.set_epoch(1)
    assert positions(second) != positions(first)
    assert sorted(positions(second)) == sorted(positions(first))


def test_it_goes_on_where_its_state_was_saved(made):
    whole = positions(made.to_torch(batch_size=50, columns=["position"], seed=7))
    rows = made.to_torch(batch_size=50, columns=["position"], seed=7)
    begun = iter(rows)
    seen = [int(place) for _ in range(5) for place in next(begun)["position"]]
    state = rows.state_dict()
    resumed = made.to_torch(batch_size=50, columns=["position"], seed=7)
    resumed.load_state_dict(state)
    assert seen + positions(resumed) == whole
    assert positions(resumed) == whole
    with pytest.raises(StateOfAnother, match="seed"):
        made.to_torch(batch_size=50, columns=["position"], seed=8).load_state_dict(state)
    with pytest.raises(StateOfAnother, match="digest"):
        resumed.load_state_dict(state | {"digest": "0" * 64})


def share(rank, folder, address, even):
    from harness.training.folder import TrainingSet

    torch.distributed.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=2)
    rows = TrainingSet.open(folder).to_torch(batch_size=64, columns=["position"], even=even)
    found = [batch["position"].tolist() for batch in rows]
    (folder.parent / f"rank-{even}-{rank}").write_text(" ".join(str(p) for part in found for p in part))
    (folder.parent / f"batches-{even}-{rank}").write_text(str(len(found)))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("even", [False, True])
def test_ranks_share_the_rows_and_evenly_when_they_must(made, tmp_path, even):
    torch.multiprocessing.spawn(share, (made.folder, tmp_path / "meet", even), nprocs=2)
    found = [(tmp_path / f"rank-{even}-{rank}").read_text().split() for rank in range(2)]
    batches = [int((tmp_path / f"batches-{even}-{rank}").read_text()) for rank in range(2)]
    everything = made.to_arrow()["position"].to_pylist()
    assert not set(found[0]) & set(found[1])
    if even:
        assert batches[0] == batches[1]
        assert len(everything) - sum(map(len, found)) < 2 * 64
    else:
        assert sorted(map(int, found[0] + found[1])) == everything
