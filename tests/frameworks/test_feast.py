"""The example beside Feast does what its README says: `make test-feast` has an environment for it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "feast"


def test_the_example_answers_what_its_readme_says(tmp_path: Path) -> None:
    shown = re.search(r"\$ python app\.py\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    shutil.copy(EXAMPLE / "app.py", tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Feast says before what it puts into its store.
    assert done.stdout.endswith(shown[1]), done.stdout
