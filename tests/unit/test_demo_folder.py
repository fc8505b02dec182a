"""The demo removes its own folder, and never anything else."""

from pathlib import Path

import pytest

from harness.demo.errors import DemoFolderTaken
from harness.demo.folder import EDITABLE, MARK, prepare


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_DATABASE_URL", raising=False)


def test_a_new_folder_gets_the_files_and_the_mark(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "demo")
    assert {path.name for path in folder.iterdir()} == {MARK, *EDITABLE}


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    assert prepare(tmp_path) == tmp_path


def test_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    folder = prepare(tmp_path / "demo")
    (folder / "report.html").write_text("old")
    (folder / "experiment.toml").write_text("edited")
    prepare(folder)
    assert not (folder / "report.html").exists()
    assert (folder / "experiment.toml").read_text() != "edited"


def test_the_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DemoFolderTaken, match="was not made by the demo"):
        prepare(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_file_in_the_place_of_the_folder_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    place.write_text("a file")
    with pytest.raises(DemoFolderTaken):
        prepare(place)
    assert place.read_text() == "a file"
