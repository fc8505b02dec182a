"""A decorator: every call of a `predict` function is a decision."""

import functools
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

import msgspec

from recorders.errors import InvalidEvent
from recorders.integrations.exchange import Decided, record_decided
from recorders.recorder import Recorder

P = ParamSpec("P")
T = TypeVar("T")


class Call(msgspec.Struct, frozen=True):
    """One call that returned. Arguments that are dicts are as they were before it (copied, not deeply)."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any
    latency_us: int


def first_argument(call: Call) -> Decided:
    """Return the decision whose snapshot is the first argument.

    A text that was returned is the decision, a pair is score and decision, a mapping holds keywords of
    `Recorder.record`, anything else is the score.

    Raises:
        InvalidEvent: the first argument is no mapping.

    >>> first_argument(Call(({"age": 41},), {}, (0.9, "block"), 12))
    {'features': {'age': 41}, 'score': 0.9, 'decision': 'block'}
    """
    features = next(iter((*call.args, *call.kwargs.values())), None)
    if not isinstance(features, Mapping):
        happened = f"The first argument is an object of type {type(features).__name__}."
        remedy = "Pass recorded(recorder, extract=...) a function that finds the features of a call."
        raise InvalidEvent("type", happened, "Expected the features as a mapping.", remedy)
    found: dict[str, Any] = {"features": features}
    if isinstance(call.result, str):
        found |= {"decision": call.result}
    elif isinstance(call.result, tuple) and len(call.result) == len(("score", "decision")):
        found |= dict(zip(("score", "decision"), call.result, strict=True))
    elif isinstance(call.result, Mapping):
        found |= {name: call.result[name] for name in Decided.__annotations__ if name in call.result}
    else:
        found |= {"score": call.result}
    return cast("Decided", found)


def recorded(
    recorder: Recorder,
    *,
    extract: Callable[[Call], Decided | Sequence[Decided] | None] = first_argument,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that records each call of a function, plain or async, which returns.

    A call that raises decided nothing. The function's result, exceptions and signature stay as they are.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        if inspect.iscoroutinefunction(function):

            async def later(*args: P.args, **kwargs: P.kwargs) -> Any:
                before, since_ns = recorder.guarded(_snapshot, args, kwargs), time.perf_counter_ns()
                result = await function(*args, **kwargs)
                recorder.guarded(_record, recorder, extract, before, result, since_ns)
                return result

            return cast("Callable[P, T]", functools.wraps(function)(later))

        @functools.wraps(function)
        def now(*args: P.args, **kwargs: P.kwargs) -> T:
            before, since_ns = recorder.guarded(_snapshot, args, kwargs), time.perf_counter_ns()
            result = function(*args, **kwargs)
            recorder.guarded(_record, recorder, extract, before, result, since_ns)
            return result

        return now

    return decorate


def _snapshot(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple(_copied(value) for value in args), {name: _copied(value) for name, value in kwargs.items()}


def _copied(value: Any) -> Any:
    return value.copy() if type(value) is dict else value


def _record(recorder: Recorder, extract: Callable[..., Any], before: Any, result: Any, since_ns: int) -> None:
    if before is not None:  # else the copy was refused and counted
        latency_us = (time.perf_counter_ns() - since_ns) // 1000
        record_decided(
            recorder, extract(Call(before[0], before[1], result, latency_us)), latency_us=latency_us
        )
