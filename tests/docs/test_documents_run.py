"""Documents are run: console and Python blocks in order, in one empty folder a document, output compared.

`...` in an expected output stands for anything, as in doctest. A block after `<!-- not run: reason -->` is
left out; its reason is part of the document, so that nothing is skipped without a word.
"""

import doctest
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/README.md")]
)
BLOCK = re.compile(
    r"(?P<skip><!-- not run: [^>]+ -->\n)?^```(?P<kind>console|python)\n(?P<body>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(document: Path) -> Iterator[tuple[str, str]]:
    for match in BLOCK.finditer(document.read_text()):
        if not match["skip"]:
            yield match["kind"], match["body"]


def commands(body: str) -> Iterator[tuple[str, str]]:
    """Yield each `$ command` of a console block with the output that is expected after it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def run(command: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("HARNESS_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        shell=isinstance(command, str),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def exit_code_named(command: str) -> int:
    """Return the code that a trailing comment names: `harness decide x  # exit 10`; 0 without one."""
    named = re.search(r"#\s*exit (\d+)\s*$", command)
    return int(named[1]) if named else 0


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own folder: a second session resets its rights while a server of another user is inside.
    with tempfile.TemporaryDirectory(prefix="harness-docs-") as name:
        Path(name).chmod(0o755)  # as root, the server runs as an account of its own
        yield Path(name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_document_does_what_it_says(document: Path, folder: Path) -> None:
    checker = doctest.OutputChecker()
    for kind, body in blocks(document):
        if kind == "python":
            done = run([sys.executable, "-c", body], folder)
            assert done.returncode == 0, f"{body}\n{done.stderr}"
            continue
        for command, expected in commands(body):
            done = run(command, folder)
            shown = done.stdout + done.stderr
            assert done.returncode == exit_code_named(command), f"$ {command}\n{shown}"
            if expected.strip():
                assert checker.check_output(expected, shown, OPTIONS), (
                    f"$ {command}\n{shown}\n--- expected\n{expected}"
                )
