"""benchmarks/README.md, made of the JSON files. `python -m benchmarks.tools.readme` writes it."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1]
README = FOLDER / "README.md"
HEAD = """# Benchmarks

`make bench-NAME` measures and writes `results/NAME.json`; `make bench` runs them all. This file is made of
those by `python -m benchmarks.tools.readme`, and a test holds it to them. A target that is missed stays.

Ratios are of one run. Absolute figures of two runs are only comparable by their pace: what a fixed record of
30 fields takes through `json` and back on that machine, at that moment (`benchmarks/tools/pace.py`).
"""


def text() -> str:
    """Return the README for the results that there are."""
    paths = sorted((FOLDER / "results").glob("*.json"))
    return "\n".join([HEAD, *(section(json.loads(path.read_text(encoding="utf-8"))) for path in paths)])


def section(report: dict[str, Any]) -> str:
    """Return the table of one benchmark."""
    machine = report["machine"]
    pace = f"pace {machine['pace_us']:g} us, " if "pace_us" in machine else ""
    lines = [
        f"## {report['benchmark']}",
        "",
        f"{report['at']}, {machine['processor']}, {machine['cores']} cores, load {machine['load'][0]:g}, "
        f"{pace}commit {report['versions'].get('commit', 'unknown')}. {report['notes']}".strip(),
        "",
        "| what | figure | unit | target | | against |",
        "|---|--:|---|---|---|---|",
    ]
    marks = {True: "holds", False: "**missed**", None: ""}
    for row in report["rows"]:
        cells = (
            row["name"],
            f"{row['value']:,.3f}",
            row["unit"],
            row["target"],
            marks[row["holds"]],
            row["against"],
        )
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the README."""
    README.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
