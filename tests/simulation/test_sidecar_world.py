"""A seeded world around spool, outbox and shipper: crashes, lost replies, restored logs, duplicates.

The log is a fake that keeps the rules of `append`. The oracle is what the spool acknowledged; at the end of
each seed the log must hold exactly that, each writer's frames in order. Planted bugs must be caught.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from recorders.sidecar.drafts import Draft
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.place import Place
from tests.simulation.sidecar_world import World, caught

pytestmark = pytest.mark.usefixtures("one_place")
SEEDS = range(100)
PLANTED_SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_log_holds_what_was_acknowledged(seed: int, tmp_path: Path) -> None:
    World(seed, tmp_path).run()


def test_a_composition_that_does_not_move_the_mark_in_full_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the place up to which frames are composed is one short."""
    real = Outbox.compose

    def short(self: Outbox, drafts: Sequence[Draft], composed: Place, *, inherited: bool = False) -> None:
        before = Place(composed.segment, max(0, composed.id - 1))
        real(self, drafts, before if drafts and composed.id > 3 else composed, inherited=inherited)

    monkeypatch.setattr(Outbox, "compose", short)
    assert caught(World, PLANTED_SEEDS, tmp_path)


def test_a_spool_that_forgets_its_marks_when_it_rotates_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: a new segment carries no high-water marks."""
    monkeypatch.setattr("recorders.sidecar.silence.Silence.gone", lambda self, _: set(self._heard))
    assert caught(World, PLANTED_SEEDS, tmp_path)


def test_a_shipper_that_believes_a_restored_log_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: what a restored log has lost is skipped instead of shipped again."""
    monkeypatch.setattr(
        "recorders.sidecar.ship.Shipper._go_back",
        lambda self, ready, have: self._outbox.rewrite(ready.ordinal, "planted") and None,
    )
    assert caught(World, PLANTED_SEEDS, tmp_path)
