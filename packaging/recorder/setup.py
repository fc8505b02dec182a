"""What is no declaration: the compiled hot path, by the setup.py of the whole (docs/adr/0034)."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[2] / "setup.py"))
