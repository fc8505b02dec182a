"""A model that a worker keeps open for a run: opened once, and closed whoever ends the run."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import harness.kept_models
from harness.kept_models import kept_open, let_go
from tests.support.sidecars import until


class Opened:
    """Stands for a model, and counts how often it is opened and closed."""

    def __init__(self) -> None:
        self.opened = self.closed = 0

    @contextmanager
    def model(self) -> Iterator[Any]:
        self.opened += 1
        yield self
        self.closed += 1


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "parts").mkdir()
    yield tmp_path / "parts"
    let_go(tmp_path / "parts")
    assert not harness.kept_models._KEPT


def test_it_is_opened_once_for_all_parts_of_a_run(folder: Path) -> None:
    one = Opened()
    for _part in range(3):
        with kept_open(folder, one.model()) as model:
            assert model is one
    assert (one.opened, one.closed) == (1, 0)
    let_go(folder)
    assert (one.opened, one.closed) == (1, 1)


def test_the_next_run_of_a_worker_has_its_own(folder: Path, tmp_path: Path) -> None:
    first, second = Opened(), Opened()
    with kept_open(tmp_path, first.model()):
        pass
    with kept_open(folder, second.model()) as model:
        assert model is second
    assert (first.closed, second.closed) == (1, 0)


def test_threads_share_none(folder: Path) -> None:
    one = Opened()

    def part() -> None:
        with kept_open(folder, one.model()):
            pass

    for _thread in range(2):
        thread = threading.Thread(target=part)
        thread.start()
        thread.join()
    part()
    assert one.opened >= 2, "a thread that is gone may leave its number to the next"
    let_go(folder)
    assert one.opened == one.closed


def test_a_part_that_raises_ends_it(folder: Path) -> None:
    one = Opened()
    with pytest.raises(LookupError), kept_open(folder, one.model()):
        raise LookupError
    assert (one.opened, one.closed) == (1, 1)


def test_a_worker_that_stays_lets_it_go_when_the_folder_of_the_run_is_gone(folder: Path) -> None:
    one = Opened()
    with kept_open(folder, one.model()):
        folder.rmdir()
    until(lambda: one.closed == 1, 120.0)
