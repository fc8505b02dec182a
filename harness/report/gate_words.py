"""A gate's value, interval and limit, as its form is written."""

from harness.report import numbers as n
from harness.report.data import Gate


def gate_figures(what: str, gate: Gate) -> str:
    """Return the sentence of a gate's value, with its interval and its limit; `what` is its subject."""
    said = f"{what} is {gate_value(gate)}"
    if gate.low is not None and gate.high is not None:
        said += f" ({gate_interval(gate)})"
    return f"{said}; the limit is {gate_limit(gate)}."


def gate_value(gate: Gate) -> str:
    """Return a gate's value as its form is written."""
    if gate.form == "words" or gate.value is None:
        return gate.words
    return _figure(gate, gate.value)


def gate_interval(gate: Gate) -> str:
    """Return a gate's interval, empty when it has none."""
    if gate.low is None or gate.high is None:
        return ""
    return f"{_figure(gate, gate.low)} to {_figure(gate, gate.high)}"


def gate_limit(gate: Gate) -> str:
    """Return a gate's limit as its form is written."""
    if gate.limit is None:
        return gate.rule
    if gate.form == "share":
        return n.percent_tight(gate.limit)
    return "0" if gate.form == "difference" and gate.limit == 0 else _figure(gate, gate.limit)


def _figure(gate: Gate, value: float) -> str:
    match gate.form:
        case "difference":
            return n.signed(value, gate.decimals)
        case "share":
            return n.percent_fine(value)
        case _:
            return n.count(round(value))
