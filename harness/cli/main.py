"""The command `harness`: noun, then verb. Nothing is imported before it is asked for."""

import errno
import importlib
import os
import sys
from collections.abc import Sequence

import click

from harness.cli.entry import INTERRUPTED, at_once
from harness.cli.output import show_error, show_usage
from harness.memory import MIB, least, out_of_memory
from recorders.errors import HarnessError

# One line for each noun: where its command is, and what the help says without importing it.
COMMANDS = {
    "init": ("harness.cli.setup:init", "Create harness.toml and the log."),
    "doctor": ("harness.cli.setup:doctor", "Check that everything here can work."),
    "demo": ("harness.cli.demo:demo", "Run the whole line on a year of real flights."),
    "log": ("harness.cli.log:log", "Show, follow and verify the log."),
    "query": ("harness.cli.query:query", "Run SQL over the log."),
    "erase": ("harness.cli.erase:erase", "Destroy a person's keys: what is theirs can no longer be read."),
    "subject-keys": ("harness.cli.erase:subject_keys", "Look after the keys that persons' values are under."),
    "witness": ("harness.cli.witness:witness", "Cosign another account's checkpoints of a log."),
    "sidecar": ("harness.cli.sidecar:sidecar", "Run and look after the recorder's sidecar."),
    "model": ("harness.cli.model:model", "Register and list models."),
    "training-set": ("harness.cli.training_set:training_set", "Cut training sets from the log."),
    "consistency": (
        "harness.cli.consistency:consistency",
        "Recompute features, compare with what was served.",
    ),
    "replay": ("harness.cli.replay:replay", "Score challengers on recorded snapshots."),
    "shadow": ("harness.cli.shadow:shadow", "Score challengers while the log grows."),
    "experiment": ("harness.cli.experiment:experiment", "Write, check and register experiments."),
    "evaluate": ("harness.cli.evaluate:evaluate", "Take a look at an experiment."),
    "decide": ("harness.cli.evaluate:decide", "Reach a verdict on an experiment."),
    "verdict": ("harness.cli.verdict:verdict", "Show and recompute verdicts."),
    "monitor": ("harness.cli.monitor:monitor", "Watch quality, drift and live losses, day by day."),
    "policy": ("harness.cli.policy:policy", "List, certify and backtest policies."),
    "schedule": ("harness.cli.schedule:schedule", "Take looks when they are due."),
    "report": ("harness.cli.report:report", "Write an experiment's report as one page."),
}
# Address space: with less, numerical libraries hang or end the process while they are loaded.
LEAST_MEMORY = 640 * MIB
WITH_LITTLE = {"sidecar"}  # it loads none
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class LazyGroup(click.Group):
    """Finds its commands in the table above; the help is written from the table too."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the nouns in the order of the table, which is the order of need."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command of a noun; its module is imported now."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in WITH_LITTLE:
            least(LEAST_MEMORY)
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        with at_once():
            command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of nouns."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="shadow-harness", prog_name="harness")
def cli() -> None:
    """Test a model beside production before it acts: record decisions once, replay, decide with figures.

    Exit codes: 0 done or PROMOTE, 10 HOLD or NOT_IDENTIFIABLE, 20 REJECT, 21 RETRAIN, 30 INVALID, 40
    integrity failure, 75 out of its budget (run it again to go on), 2 usage, 1 other error.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code of one command line; errors that a user can act on are shown, others raised."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        outcome = cli.main(given, prog_name="harness", standalone_mode=False)
    except HarnessError as error:
        told = out_of_memory(error) or error
        show_error(told, json="--json" in given)
        return told.exit_code
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.Abort:
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        if "--json" in given:
            show_usage(error)
        else:
            error.show()
        return error.exit_code
    except (MemoryError, ImportError, RuntimeError, OSError) as error:
        return _ran_out(error, given)
    return outcome if isinstance(outcome, int) else 0


def _ran_out(error: Exception, given: list[str]) -> int:
    """Return the exit code after memory, threads or the output's disk ended; raise any other error again."""
    lacking = out_of_memory(error)
    if lacking is not None:
        show_error(lacking, json="--json" in given)
        return lacking.exit_code
    if isinstance(error, OSError):
        return _output_failed(error)
    raise error


def _output_failed(error: OSError) -> int:
    """Return the exit code after a write to the standard output failed; any other error is raised again."""
    # A write to what is open already has no name in its error: this is none of our files.
    if error.errno not in {errno.EPIPE, *DISK_ERRORS} or error.filename is not None:
        raise error
    # What is still buffered goes where nobody reads, so that the end of the process does not fail on it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:  # the reader has left (`| head`)
        return 0
    click.echo(f"Error: The output cannot be written: {error.strerror}. Free some space there.", err=True)
    return 1
