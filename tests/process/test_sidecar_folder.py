"""Whose folder a spool is: one sidecar's and not its copy's; moved, renamed, taken while its own slept."""

import shutil
from pathlib import Path

import pytest

from harness.log.log import Log
from recorders.sidecar.errors import SpoolBusy, SpoolTaken
from recorders.sidecar.house import House
from recorders.sidecar.place import Place
from tests.support.houses import kept, once, opened, shipped
from tests.support.sidecars import arrived, decision_ids, decisions, names, new_writer, settings_in


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("composed", [True, False])
def test_a_copied_spool_leaves_to_its_original_what_both_hold(
    fresh_log: Log, tmp_path: Path, composed: bool, live: bool
) -> None:
    writer, late = new_writer(), new_writer()
    both = [decisions(writer, n) for n in range(1, 4)]
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, both[:1])
        shipped(house)
        kept(house, both[1:])
        if composed:
            house.shipper._rounds.compose()
        if live:
            shutil.copytree(tmp_path / "s", tmp_path / "c")
    if not live:
        shutil.copytree(tmp_path / "s", tmp_path / "c")
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, [decisions(writer, 4)])
        shipped(house)
    with opened(tmp_path / "c", fresh_log.url) as house:
        assert house.copied
        kept(house, [decisions(late, 1)])
        shipped(house)
        assert house.shipper.counts.set_aside == (0 if composed else 1)
    once(fresh_log, [*both, decisions(writer, 4), decisions(late, 1)])


def test_a_moved_spool_ships_what_it_brought(fresh_log: Log, tmp_path: Path) -> None:
    writer = new_writer()
    with opened(tmp_path / "s", fresh_log.url) as house:
        kept(house, [decisions(writer, 1)])
    shutil.copytree(tmp_path / "s", tmp_path / "c")
    shutil.rmtree(tmp_path / "s")
    with opened(tmp_path / "c", fresh_log.url) as house:
        kept(house, [decisions(writer, 2)])
        shipped(house)
        assert len(house.outbox.identities) == 2
    (tmp_path / "c").rename(tmp_path / "renamed")
    with opened(tmp_path / "renamed", fresh_log.url) as house:
        assert not house.copied
    assert decision_ids(fresh_log) == names([decisions(writer, 1), decisions(writer, 2)])


def test_one_folder_has_one_sidecar(tmp_path: Path) -> None:
    with opened(tmp_path / "s", ""), pytest.raises(SpoolBusy):
        House(settings_in(tmp_path / "s"))


def test_a_sidecar_that_slept_while_another_took_its_folder_touches_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "s", "") as house:
        (tmp_path / "s" / "stamp").write_text("another")
        with pytest.raises(SpoolTaken):
            house.shipper.step()
        assert house.shipper.state == "stopped"


@pytest.mark.parametrize("waiting", [0, 1])
def test_starts_that_nothing_came_to_take_no_room_of_the_quota(tmp_path: Path, waiting: int) -> None:
    frames = [decisions(new_writer(), 1)][:waiting]
    for _ in range(12):
        with opened(tmp_path / "s", "", quota_bytes=2 * 2**20) as house:
            kept(house, frames)  # known, where there is one, from the second start on
            assert house.spool.refusal == ""
    assert len(list((tmp_path / "s").glob("*.db"))) <= 4 + waiting
    with opened(tmp_path / "s", "", quota_bytes=2 * 2**20) as house:
        kept(house, [decisions(new_writer(), 1)])
        assert [stored.frame for stored in house.spool.read(Place(0, 0), events=99, payload_bytes=2**20)][
            :waiting
        ] == [arrived(frame) for frame in frames]
