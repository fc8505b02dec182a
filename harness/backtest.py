"""Backtests: what another policy would have said at every look of a log, from the evidence that looks keep.

A policy never changes what is folded, only what is read from it, so the stored evidence serves: nothing is
joined or scored again. A proof of retraining keeps no evidence of its rivals: its looks are measured again.
Looks that another policy would have spared are still the looks that there were.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from harness.experiment_errors import LookAltered
from harness.experiment_file import ExperimentFile, Rivals
from harness.experiments import Experiment, list_experiments
from harness.log.log import Log
from harness.looks import FINAL, Taken, stored_looks
from harness.looks import Look as StoredLook
from harness.measure import measure
from harness.strict_toml import Problem, TomlFileError, check_table, read_toml
from policies.catalogue import decide
from policies.checks import refuse
from policies.contenders import Contender
from policies.errors import PlanError
from policies.estimate import Look
from policies.evidence import Evidence
from policies.plan import Plan
from policies.policy_plan import PolicyPlan
from policies.retrain_rule import RetrainRule
from policies.seen import Rivalry

RETRAINING = "retraining"


class PolicyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file with a policy alone, in the keys of an experiment's [policy].

    For proofs of retraining [retraining] may hold another rule; without it each is read by its own.
    """

    policy: PolicyPlan
    retraining: RetrainRule | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.retraining is not UNSET and self.policy.name != RETRAINING:
            refuse("retraining", "declared", f'none without policy.name = "{RETRAINING}"', "Correct it.")


class Replayed(msgspec.Struct, frozen=True):
    """One look: what was said then, and what the other policy says of the same evidence."""

    number: int
    as_of: int
    used: int
    state: str
    other: str
    reasons: tuple[str, ...]


class Backtest(msgspec.Struct, frozen=True):
    """One experiment: where it was decided, and where the other policy would have decided it.

    `look` and `used` tell the first final verdict, or the last look where there is none. `refused` is why the
    other policy cannot read this experiment. `slices_left_out`: its registered slices keep no evidence.
    """

    experiment: str
    policy: str
    state: str
    look: int
    used: int
    other_state: str | None
    other_look: int | None
    other_used: int | None
    differs: bool
    refused: str | None
    slices_left_out: bool
    looks: tuple[Replayed, ...]


def read_policy(path: Path) -> PolicyFile:
    """Return the policy that a TOML file holds, with its rule of retraining.

    Raises:
        TomlFileError: the file has faults; each is named.
    """
    tables = read_toml(path)
    problems = list(check_table(tables, PolicyFile, root=PolicyFile))
    if not problems:
        try:
            return msgspec.convert(tables, PolicyFile)
        except PlanError as error:
            table, _, key = error.key.rpartition(".")
            problems = [Problem(table or "policy", key, error.happened, error.expected, error.remedy)]
    raise TomlFileError(str(path), problems)


def backtest(log: Log, chosen: PolicyFile) -> list[Backtest]:
    """Return every experiment that was looked at, oldest first, under the other policy.

    Raises:
        LookAltered: a look that is measured again is no longer what the log gives.
    """
    found = ((each, stored_looks(log, each.id)) for each in list_experiments(log))
    return [_replay(log, experiment, looks, chosen) for experiment, looks in found if looks]


def _plan(declared: ExperimentFile, chosen: PolicyFile) -> Plan:
    """Return the plan of an experiment under the other policy.

    Raises:
        PlanError: the policy cannot read it.
    """
    read: dict[str, Any] = {"arms": declared.arms, "completeness": declared.completeness}
    if chosen.policy.name == RETRAINING:
        if not isinstance(declared.rivals, Rivals):
            refuse("rivals", None, "the rivals of a proof of retraining", "Try a policy that compares two.")
        rule = chosen.retraining if isinstance(chosen.retraining, RetrainRule) else declared.retraining
        read |= {"retraining": rule, "slices": declared.slices}
    return Plan(metrics=declared.metrics, unit=declared.unit, policy=chosen.policy, **read)


def _rivalry(log: Log, experiment: Experiment, look: StoredLook, plan: Plan) -> Rivalry | None:
    """Return what a proof reads beside the evidence of a look, measured again; None without a proof."""
    if plan.retraining is UNSET:
        return None
    up_to = look.scores.up_to
    found = measure(log, experiment, look.as_of, start=look.start, stop=look.stop, scores_up_to=up_to)
    if found.evidence.digest != look.evidence_digest:
        digests = (look.evidence_digest, found.evidence.digest)
        raise LookAltered(experiment.id, look.number, "evidence_digest", *digests)
    assert found.rivalry is not None, "it registers rivals"
    return found.rivalry._replace(contenders=[_under(plan, each) for each in found.rivalry.contenders])


def _under(plan: Plan, contender: Contender) -> Contender:
    """Return the same contender, its evidence read under another plan of the same metrics and unit."""

    def read(evidence: Evidence) -> Evidence:
        return msgspec.structs.replace(evidence, plan=plan.digest)

    return msgspec.structs.replace(
        contender,
        champion=read(contender.champion),
        rival=None if contender.rival is None else read(contender.rival),
        slices={name: read(each) for name, each in contender.slices.items()},
    )


def _replay(log: Log, experiment: Experiment, looks: Sequence[Taken], chosen: PolicyFile) -> Backtest:
    declared = experiment.declared
    sliced = declared.slices is not UNSET and chosen.policy.name != RETRAINING
    try:
        plan = _plan(declared, chosen)
    except PlanError as error:
        return _row(experiment, looks, (), refused=str(error), sliced=sliced)
    previous: list[Look] = []
    rows = []
    for taken in looks:
        look = taken.look
        evidence = msgspec.structs.replace(Evidence.from_json(look.evidence), plan=plan.digest)
        rivalry = _rivalry(log, experiment, look, plan)
        verdict = decide(evidence, plan, integrity=look.integrity, previous=previous, rivalry=rivalry)
        previous.append(Look.of(look.number, verdict.estimates))
        rows.append(
            Replayed(
                number=look.number,
                as_of=look.as_of.position,
                used=look.integrity.used,
                state=look.verdict.state,
                other=verdict.state,
                reasons=verdict.reasons,
            )
        )
    return _row(experiment, looks, tuple(rows), refused=None, sliced=sliced)


def _row(
    experiment: Experiment,
    looks: Sequence[Taken],
    rows: tuple[Replayed, ...],
    *,
    refused: str | None,
    sliced: bool,
) -> Backtest:
    then = next((each.look for each in looks if each.look.verdict.state in FINAL), looks[-1].look)
    other = next((row for row in rows if row.other in FINAL), rows[-1] if rows else None)
    differs = other is not None and (other.other, other.number) != (then.verdict.state, then.number)
    return Backtest(
        experiment=experiment.id,
        policy=experiment.declared.policy.name,
        state=then.verdict.state,
        look=then.number,
        used=then.integrity.used,
        other_state=None if other is None else other.other,
        other_look=None if other is None else other.number,
        other_used=None if other is None else other.used,
        differs=differs,
        refused=refused,
        slices_left_out=sliced,
        looks=rows,
    )


def backtest_text(found: Sequence[Backtest], policy: PolicyPlan) -> str:
    """Return one line for each experiment."""
    if not found:
        return 'No experiment was looked at yet. Take a look with "harness evaluate".'
    other = f"under {policy.name}, alpha {policy.alpha:g}"
    lines = [f"{'experiment':<28}{'as decided':<34}{other:<34}"]
    for each in found:
        then = _said(each.state, each.look, each.used)
        if each.refused is not None:
            lines.append(f"{each.experiment:<28}{then:<34}cannot be read: {each.refused}")
            continue
        now = _said(each.other_state, each.other_look, each.other_used)
        note = "differs" if each.differs else "same"
        note += ", slices left out" if each.slices_left_out else ""
        lines.append(f"{each.experiment:<28}{then:<34}{now:<34}{note}")
    changed = sum(each.differs for each in found)
    lines.append(f"{changed} of {len(found)} would have been decided otherwise.")
    return "\n".join(lines)


def _said(state: Any, look: Any, used: Any) -> str:
    return f"{state}, look {look}, {used:,} used"
