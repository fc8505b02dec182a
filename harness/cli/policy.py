"""`harness policy`: what policies there are, how often one is wrong, what another would have decided."""

from pathlib import Path
from typing import Any

import click

from harness.cli.finite import Finite
from harness.cli.output import emit, folder_option, json_option


@click.group()
def policy() -> None:
    """List, certify and backtest policies."""


@policy.command("list")
@json_option
def list_(json: bool) -> None:
    """List the catalogue of policies."""
    from policies.catalogue import POLICIES
    from policies.rules import RULES

    rows = [RULES[name] for name in POLICIES]
    emit(rows, json=json, text=lambda: "\n".join(f"{each.name:<16}{each.sentence}" for each in rows))


@policy.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--shipped", is_flag=True, help="Certify the shipped policies instead of FILE.")
@click.option("--discordance", type=Finite(), help="Share of decisions on which the models differ. [0.15]")
@click.option("--size", type=Finite(), help="By how much they then differ, as a share of the largest. [0.2]")
@click.option("--effect", type=Finite(), help="What should be found, in the first primary metric's unit.")
@click.option("--cluster", type=int, help="Decisions of one unit. [1]")
@click.option("--correlation", type=Finite(), help="Correlation among the decisions of a unit. [0.1]")
@click.option("--per-look", type=int, help="Decisions between two looks. [400]")
@click.option("--looks", type=int, help="Looks, at most those of the policy. [100]")
@click.option("--delay", type=int, help="Looks until a decision has matured. [0]")
@click.option("--runs", type=int, help="Simulated experiments. [2000]")
@click.option("--seed", type=int, help="Where chance begins. [1]")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Write a page there too."
)
@json_option
def certify(*, file: Path | None, shipped: bool, html: Path | None, json: bool, **given: Any) -> int:
    """Simulate experiments under the plan of FILE: error rates, power, decisions until a verdict.

    What else it registers (sequences, slices, arms, pairs, quantiles, planned tests) is certified after it,
    or named with the reason why not; with --shipped, every procedure is. Exit code 1 when an error rate
    exceeds its limit by more than three standard errors.
    """
    from harness.certify.certificate import certify
    from harness.certify.page import render
    from harness.certify.procedures import procedures_text
    from harness.certify.registered import not_certified
    from harness.certify.sequences import plan_procedures
    from harness.certify.shipped import shipped_procedures
    from harness.certify.text import certificate_text
    from harness.report.write import write_page

    plans = _plans(file, {key: value for key, value in given.items() if value is not None}, shipped=shipped)
    found = {name: certify(plan, assumed) for name, (plan, assumed) in plans.items()}
    if shipped:
        procedures = shipped_procedures()
    else:
        procedures = tuple(each for planned in plans.values() for each in plan_procedures(*planned))
    left = () if shipped else tuple(each for planned in plans.values() for each in not_certified(*planned))
    written = None if html is None else write_page(render(found, procedures, left), html)
    text = "\n\n".join(certificate_text(name, each) for name, each in found.items())
    note = "".join(f"\n  not certified: {each}." for each in left)
    note += "" if html is None else f"\n\nWrote {html}."
    body: dict[str, object] = {"certificates": found, "procedures": procedures, "not_certified": left}
    body |= {"html": html, "sha256": written}
    emit(body, json=json, text=f"{text}\n\n{procedures_text(procedures)}{note}")
    return 0 if all(each.holds for each in found.values()) and all(each.holds for each in procedures) else 1


def _plans(file: Path | None, given: dict[str, Any], *, shipped: bool) -> dict[str, Any]:
    import msgspec

    from harness.certify import shipped as catalogue
    from harness.certify.worlds import Assumed
    from harness.errors import UsageError
    from harness.experiment_lint import read_experiment

    if (file is None) != shipped:
        raise UsageError(
            "Neither FILE nor --shipped is given." if file is None else "FILE and --shipped are both given.",
            "Expected an experiment file, or --shipped for the policies as they are shipped.",
            "Give one of them.",
        )
    if file is None:
        return {
            name: (plan, msgspec.structs.replace(assumed, **given))
            for name, (plan, assumed) in catalogue.shipped().items()
        }
    declared = read_experiment(file)
    if declared.retraining:
        raise UsageError(
            f"{file} registers a proof of retraining.",
            "Expected a policy that compares two models: a proof has three rivals, which must be trained.",
            'See its measured precision and recall in "make bench-retraining".',
        )
    return {declared.experiment.id: (declared.plan, Assumed(**given))}


@policy.command()
@click.option(
    "--outcomes", type=click.IntRange(1, 12), default=12, show_default=True, help="Outcomes at most."
)
@json_option
def prove(outcomes: int, json: bool) -> int:
    """Enumerate every sample of ternary outcomes: each exact e-value expects at most 1, at every step.

    Rational arithmetic, no rounding. And the ends of every sequence are nested in alpha. Exit code 1 when one
    of them is not so.
    """
    from policies.enumeration import enumerated
    from policies.nested import nested

    found, ends = enumerated(outcomes), nested(outcomes)
    lines = [
        f"{each.process:<32}{each.laws:>4} laws{each.samples:>8} samples{each.steps:>8} steps   "
        f"largest E[e] {each.largest:<14}{'holds' if each.holds else 'FAILS'}"
        for each in found
    ]
    lines += [
        f"{each.sequence:<32}{each.levels:>4} levels{each.samples:>6} samples   nested in alpha   "
        f"{'holds' if each.holds else 'FAILS'}"
        for each in ends
    ]
    emit({"processes": found, "sequences": ends}, json=json, text="\n".join(lines))
    return 0 if all(each.holds for each in found) and all(each.holds for each in ends) else 1


@policy.command()
@click.argument("file", metavar="POLICY", type=click.Path(dir_okay=False, path_type=Path))
@folder_option
@json_option
def backtest(file: Path, folder: Path | None, json: bool) -> None:
    """Say what every look of the log would have been under the [policy] of a TOML file.

    A policy of retraining reads the proofs of a log, by the file's [retraining] or by their own.
    """
    from harness.backtest import backtest, backtest_text, read_policy
    from harness.cli.experiment import opened

    chosen = read_policy(file)
    with opened(folder) as log:
        found = backtest(log, chosen)
    emit(found, json=json, text=lambda: backtest_text(found, chosen.policy))


@policy.command()
@click.argument("name", metavar="[LEDGER]", required=False)
@folder_option
@json_option
def wealth(name: str | None, folder: Path | None, json: bool) -> None:
    """Show the levels that candidates drew from a ledger, recomputed from the log.

    Exit code 40 when a level is not what the log gives.
    """
    from harness.cli.experiment import opened
    from harness.wealth import ledger, ledger_text

    with opened(folder) as log:
        lines = ledger(log, name)
    emit(lines, json=json, text=lambda: ledger_text(lines))
