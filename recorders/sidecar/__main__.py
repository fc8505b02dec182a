"""`python -m recorders.sidecar`: the sidecar's own command line, without the harness.

What a command finds out is JSON on the standard output; errors and the log are on the error stream.
"""

import argparse
import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Any, Final

from recorders.errors import HarnessError
from recorders.sidecar import commands
from recorders.sidecar.logs import write_json_lines
from recorders.sidecar.settings import Settings, load

PROGRAM: Final = "python -m recorders.sidecar"
VERBS: Final = {
    "run": "Take frames from services, keep them on disk, ship them into the log. Done without a verb.",
    "status": "Show what the running sidecar knows of itself.",
    "drain": "Let the running sidecar take no more, ship all, and end.",
    "ship": "Ship what a stopped sidecar left in its spool.",
    "inspect": "Show what the spool's files hold. Changes nothing; the sidecar may run or not.",
    "map": "Propose a mapping for what a service writes. Read it, correct it, keep it.",
    "receipts": "Print what the log answered for the last batches, a JSON object a line.",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = _parser().parse_args(arguments)
    write_json_lines()
    try:
        if given.verb == "map":
            _propose(given)
        else:
            _carry_out(given, load(given.config))
    except HarnessError as error:
        sys.stderr.write(_told(error, as_json=given.json) + "\n")
        return error.exit_code
    return 0


def _carry_out(given: argparse.Namespace, settings: Settings) -> None:
    if given.verb == "receipts":
        for one in commands.receipts(settings):
            sys.stdout.write(json.dumps(one) + "\n")
    elif given.verb in ("run", None):
        commands.run(settings)
    else:
        sys.stdout.write(commands.shown(_document(given, settings)) + "\n")


def _propose(given: argparse.Namespace) -> None:
    from recorders.doors.proposal import shown

    found = commands.propose(given.sample, given.decision_point, given.source)
    sys.stdout.write((commands.shown(found) if given.json else shown(found)) + "\n")


def _document(given: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    if given.verb == "status":
        return commands.status(settings)
    if given.verb == "inspect":
        return commands.inspect(settings)
    if given.verb == "drain":
        return commands.drain(settings, timeout_s=given.timeout)
    return commands.ship(
        settings, timeout_s=given.timeout, again_from=given.again_from, new_writer=given.new_writer
    )


def _parser() -> argparse.ArgumentParser:
    """Return the parser. `--config` and `--json` may stand before the verb or after it."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Run and look after the recorder's sidecar.")
    parser.set_defaults(config=None, json=False)
    _common(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, purpose in VERBS.items():
        verb = verbs.add_parser(name, help=purpose, description=purpose)
        _common(verb)
        if name in ("drain", "ship"):
            verb.add_argument("--timeout", type=_seconds, default=60.0, help="in seconds (%(default)g)")
        if name == "map":
            verb.add_argument(
                "--sample", type=Path, required=True, help="a file it wrote, or a request it sent"
            )
            verb.add_argument("--source", help="what wrote it; told from the sample if left out")
            verb.add_argument("--decision-point", "-d", default="my.decisions", help="where it decides")
        if name == "ship":
            verb.add_argument(
                "--from", type=int, dest="again_from", help="again from this batch on; doubles nothing"
            )
            verb.add_argument("--new-writer", action="store_true", help="after a fork; may repeat events")
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    # SUPPRESS: what is given before the verb is not to be undone by the default of what may be after it.
    parser.add_argument(
        "--config",
        type=Path,
        default=argparse.SUPPRESS,
        help="settings in TOML; else the defaults hold",
    )
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="write an error as JSON too"
    )


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if math.isfinite(value) and value >= 0:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 on")


def _told(error: HarnessError, *, as_json: bool) -> str:
    """Return an error with the commands that are there where the harness may not be."""
    parts = {"happened": error.happened, "expected": error.expected, "remedy": error.remedy}
    parts = {name: text.replace("harness sidecar ", f"{PROGRAM} ") for name, text in parts.items()}
    message = " ".join(parts.values())
    if not as_json:
        return message
    told = {"type": type(error).__name__, "message": message, **parts, "exit_code": error.exit_code}
    return json.dumps({"error": told})


if __name__ == "__main__":
    sys.exit(main())
