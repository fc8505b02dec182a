"""No option of a number takes what no comparison refuses: nan, and infinities."""

import click
import pytest

from harness.cli.main import cli


def number_options(group, context, path=()):
    """Yield (words, option) for every option of the command line that takes a float."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from number_options(command, context, (*path, name))
        for option in command.params:
            if isinstance(option.type, click.types.FloatParamType):
                yield (*path, name), option


def test_options_of_numbers_refuse_what_is_none():
    context = click.Context(cli)
    found = list(number_options(cli, context))
    assert {"--max-memory", "--threshold", "--alpha", "--poll", "--timeout"} <= {
        option.opts[0] for _, option in found
    }
    for words, option in found:
        for text in ("nan", "inf", "-inf"):
            try:
                option.process_value(context, text)
            except click.BadParameter:
                continue
            pytest.fail(f"harness {' '.join(words)} {option.opts[0]} {text} is taken for a number")
