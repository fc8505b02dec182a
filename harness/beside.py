"""What stands beside the gates of a verdict, as lines that terminal and page share."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import UnsetType

from policies.adjusted import Adjusted
from policies.belief import Posterior
from policies.beside import Beside
from policies.estimate import ASSUMPTIONS, Estimate
from policies.gates import e_value
from policies.off_policy import OffPolicy
from policies.serving import LATENCY
from policies.verdict import Verdict


class Aside(NamedTuple):
    """One figure: whose and what it is, what it says, and the validity with what that rests on."""

    name: str
    figure: str
    validity: str
    assumption: str


def asides(verdict: Verdict) -> tuple[Aside, ...]:
    """Return the lines of a verdict: metrics that are shown, off-policy points, posteriors, planned tests."""
    found = [aside for each in verdict.estimates for aside in _of_estimate(each)]
    found += [_posterior(each) for each in verdict.posteriors or ()]
    found += [_beside(each) for each in verdict.beside or ()]
    return tuple(found)


def unread(found: Sequence[Aside]) -> str:
    """Return what of these no gate reads, in words: all but a latency whose role is to gate.

    >>> unread([Aside("latency_over: guardrail", "", "exact", "")])
    'no gate reads these figures, but that of latency_over'
    """
    gates = {f"{LATENCY}: {role}" for role in ("guardrail", "primary")}
    but = f", but that of {LATENCY}" if any(each.name in gates for each in found) else ""
    return f"no gate reads these figures{but}"


def _of_estimate(each: Estimate) -> Iterator[Aside]:
    if each.role == "context" or each.metric == LATENCY:
        yield _shown(each)
    if not isinstance(each.off_policy, UnsetType):
        yield _points(each.metric, each.off_policy)
    if not isinstance(each.adjusted, UnsetType):
        yield _adjusted(each.metric, each.adjusted)


def _shown(each: Estimate) -> Aside:
    """Return what a metric is that is only shown; of one that gates, how many decisions it could use."""
    used = f"{each.decisions:,} decisions"
    left = "".join(f", {count:,} {why.replace('_', ' ')}" for why, count in each.reasons.items())
    if each.point is None or each.champion is None or each.challenger is None:
        figure = f"no value yet; {used}{left}"
    else:
        values = f"champion {each.champion:.4g}, challenger {each.challenger:.4g}"
        better = f"{values}, better by {each.point:+.4g} ({_ends(each.low, each.high)})"
        figure = f"{better}; {used}{left}"
    return Aside(f"{each.metric}: {each.role}", figure, each.validity, ASSUMPTIONS[each.unit])


def _points(metric: str, found: OffPolicy) -> Aside:
    """Return the estimates of the challenger's value from propensities, without intervals of their own."""
    named = {
        "logged": found.logged,
        "inverse propensities": found.ips,
        "self-normalised": found.snips,
        "doubly robust": found.doubly_robust,
        "SWITCH": found.switch,
    }
    said = ", ".join(f"{name} {value:.4g}" for name, value in named.items() if value is not None)
    worth = f"worth {found.effective:.4g} of {found.used} decisions"
    return Aside(
        f"{metric}: off-policy values", f"{said or 'none'}; {worth}", "report_only", found.assumption
    )


def _adjusted(metric: str, found: Adjusted) -> Aside:
    name = f"{metric}: adjusted for covariates"
    rests = "units are independent, and the covariates' means are those that were registered"
    if found.point is None or found.explained is None:
        return Aside(name, "; ".join(found.reasons), found.validity, rests)
    figure = (
        f"{found.point:+.4g} ({_ends(found.low, found.high)}), {found.explained:.1%} of the variance less"
    )
    return Aside(name, f"{figure}, {_e(found.log_e)}", found.validity, rests)


def _posterior(found: Posterior) -> Aside:
    figure = f"{found.mean:+.4g} ({_ends(found.low, found.high)}), better with chance {found.better:.3f}"
    name = f"{found.metric}: posterior, prior spread {found.prior:g}"
    return Aside(name, figure, found.validity, found.assumption)


def _beside(found: Beside) -> Aside:
    parts = [*found.reasons]
    if found.log_e is not None:
        parts.append(_e(found.log_e))
    if found.low is not None:
        parts.append(_ends(found.low, found.high))
    if found.p is not None:
        parts.append(f"p-value {found.p:.3g}")
    if not isinstance(found.z, UnsetType) and not isinstance(found.bound, UnsetType):
        apart = "told apart" if abs(found.z) >= found.bound else "not told apart"
        parts.append(f"z {found.z:+.3f}, bound {found.bound:.3f}: {apart}")
    return Aside(f"{found.metric}: {found.method}", "; ".join(parts), found.validity, found.assumption)


def _ends(low: float | None, high: float | None) -> str:
    return f"{'no end' if low is None else f'{low:.4g}'} to {'no end' if high is None else f'{high:.4g}'}"


def _e(log: float | None) -> str:
    return "no e-value" if log is None else f"e-value {e_value(log):.3g}"
