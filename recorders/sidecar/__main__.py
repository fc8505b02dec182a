"""`python -m recorders.sidecar`: the sidecar's own command line, without the harness."""

import argparse
import json
import sys
from pathlib import Path

from recorders.errors import HarnessError
from recorders.sidecar import commands
from recorders.sidecar.logs import write_json_lines
from recorders.sidecar.settings import load

VERBS = ("run", "status", "drain", "ship", "inspect", "receipts")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m recorders.sidecar", description=__doc__)
    parser.add_argument("verb", choices=VERBS, nargs="?", default="run")
    parser.add_argument("--config", type=Path, help="settings in TOML; without it the defaults hold")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds that drain and ship may take")
    parser.add_argument("--from", type=int, dest="again_from", help="ship: again from this batch on")
    parser.add_argument("--new-writer", action="store_true", help="ship: under a new writer, after a fork")
    given = parser.parse_args(arguments)
    write_json_lines()
    try:
        settings = load(given.config)
        if given.verb == "run":
            commands.run(settings)
            return 0
        if given.verb == "receipts":
            for one in commands.receipts(settings):
                sys.stdout.write(json.dumps(one) + "\n")
            return 0
        if given.verb == "ship":
            document = commands.ship(
                settings, timeout_s=given.timeout, again_from=given.again_from, new_writer=given.new_writer
            )
        elif given.verb == "drain":
            document = commands.drain(settings, timeout_s=given.timeout)
        else:
            document = commands.status(settings) if given.verb == "status" else commands.inspect(settings)
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(commands.shown(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
