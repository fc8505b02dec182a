"""Options: none of a number takes what nothing bounds (nan, infinities), and each says what it is for."""

from pathlib import Path

import click
import pytest

from harness.cli.main import cli


def all_commands(group, context, path=()):
    """Yield (words, command) for every command of the command line."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from all_commands(command, context, (*path, name))


def number_options(group, context):
    """Yield (words, option) for every option of the command line that takes a float."""
    for words, command in all_commands(group, context):
        for option in command.params:
            if isinstance(option.type, click.types.FloatParamType):
                yield words, option


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


def test_every_command_and_option_says_what_it_is_for_and_no_bound_is_none():
    context = click.Context(cli)
    commands = list(all_commands(cli, context))
    assert len(commands) > 60
    for words, command in commands:
        assert command.help, words
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, (*words, option.opts)
        assert "None" not in command.get_help(click.Context(command)), words


def test_every_command_speaks_json_but_those_that_the_readme_names():
    silent = sorted(
        " ".join(words)
        for words, command in all_commands(cli, click.Context(cli))
        if not isinstance(command, click.Group)
        and not any("--json" in option.opts for option in command.params)
    )
    named = " and ".join(f"`{words}`" for words in silent)
    readme = Path(__file__).parents[2] / "README.md"
    assert f"Every command but {named} speaks `--json`" in readme.read_text()
