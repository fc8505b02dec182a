"""Each decision stands in the list of decisions once, under its title, and says what would change it."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "adr"
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))
LISTED = re.findall(r"^- \[(\d{4})\]\(([^)]+)\) (.+)$", (FOLDER / "README.md").read_text(), re.MULTILINE)


def test_the_list_has_each_decision_once() -> None:
    """A link that is doubled, lacking, or leads nowhere would show as a difference."""
    assert sorted(name for _, name, _ in LISTED) == [path.name for path in DECISIONS]


@pytest.mark.parametrize(("number", "name", "title"), LISTED)
def test_a_decision_has_the_number_and_the_title_of_its_list(number: str, name: str, title: str) -> None:
    """The first line is `# NNNN Title`, and the file's name begins with the number."""
    head = (FOLDER / name).read_text().partition("\n")[0]
    assert head == f"# {number} {title}"
    assert name.startswith(f"{number}-")


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name[:4])
def test_a_decision_says_what_would_change_it(path: Path) -> None:
    """A decision without it is a habit."""
    assert re.search(r"change (our|the|its) (mind|decision)|change it\b", path.read_text(), re.IGNORECASE)
