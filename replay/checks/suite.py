"""The whole check of a model, in the order in which a failure would explain the next one."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from replay.adapters.uri import parse_uri
from replay.checks import invariance, memory
from replay.checks.finding import Finding
from replay.checks.fuzz import BESIDE, fuzz
from replay.isolation import IsolatedModel, RememberingModel
from replay.model_errors import ModelError
from replay.score import BLOCK_ROWS, JOINED

# No part is begun that would go beyond it by scoring the rows once, and no process is ended twice after it:
# with the default time limit of a block the check takes a minute at most.
PATIENCE_S = 45.0
# What the slow parts may take together of a minute, in microseconds; which takes more is not tried.
FUZZ_US, GROWTH_US, JOINED_US, CUTS_US = 15_000_000, 10_000_000, 10_000_000, 10_000_000
FUZZ_ROWS = (5, 150)
GROWTH_BLOCKS = (4, 100)
GROWTH_WARN_MB, GROWTH_FAIL_MB = 16, 64

Open = Callable[[], IsolatedModel]


def check_model(
    model: IsolatedModel,
    again: Open,
    rows: pa.Table,
    *,
    first_position: int,
    threshold: float | None = None,
    latency_us: dict[str, int | None] | None = None,
) -> list[Finding]:
    """Return the findings of a model on recorded `rows` (`position`, `decision_id` and its inputs).

    `again` opens the same model in another process. `first_position` is the first place that it would be
    evaluated on, `latency_us` what the champion's recorded answers took. A model that is stopped for good
    ends the check with that finding.
    """
    findings, begun, once_s = [_look_ahead(model, first_position)], time.monotonic(), 0.0
    model.patience_ends = begun + PATIENCE_S  # one that hangs would take its time limit for each of its ends
    try:
        for finding in _tried(model, again, rows, threshold):
            findings.append(finding)
            gone_s = time.monotonic() - begun
            once_s = once_s or gone_s
            if finding.check != "memory" and gone_s + once_s > PATIENCE_S:
                words = (
                    f"{gone_s:.0f} s had gone after {finding.check}, scoring all rows takes {once_s:.0f} s"
                )
                findings.append(Finding("time", "fail", f"{words}: the rest was not tried"))
                break
    except ModelError as error:
        findings.append(Finding("survival", "fail", error.happened, {"kills": model.account.kills}))
    findings += _cost(model, latency_us or {})
    return findings


def _tried(model: IsolatedModel, again: Open, rows: pa.Table, threshold: float | None) -> Iterator[Finding]:
    first = invariance.scores_of(model, rows)
    scores = invariance.numbers(first)
    contract = invariance.contract(first, rows)
    yield contract
    if contract.state == "fail":
        return
    yield invariance.reach(scores)
    other = invariance.scores_of(model, rows)
    yield invariance.repeated("determinism", "asked again, it answers the same bits", first, other)
    with again() as second:
        second.patience_ends = model.patience_ends
        fresh = invariance.scores_of(second, rows)
    yield invariance.repeated("fresh process", "another process answers the same bits", first, fresh)
    block_us = model.account.blocks.percentile(0.5) or 1
    slow = block_us * -(-rows.num_rows // BLOCK_ROWS) * len(invariance.CUTS) > CUTS_US
    yield invariance.cut(model, rows, first, sizes=invariance.CUTS[-1:] if slow else invariance.CUTS)
    yield invariance.columns(model, rows, first)
    beside = list(invariance.neighbours(model, rows, first))
    yield from beside
    near = invariance.near_threshold(beside, scores, threshold)
    if near is not None:
        yield near
    if isinstance(model, RememberingModel):
        yield memory.remembers(model, rows, first)
        yield memory.snapshots(model, again, rows, first)
    if not isinstance(model, RememberingModel) and block_us < JOINED_US / (2 * JOINED):
        yield invariance.joined(model, rows)
    if find_spec("hypothesis") is None:
        words = "not tried: hypothesis is not installed (pip install 'shadow-harness[check]')"
        yield Finding("odd values", "warn", words)
    else:
        # A model that remembers is asked row by row when they have one key.
        calls = 2 if not isinstance(model, RememberingModel) else 4 * (BESIDE + 1)
        yield _afforded("odd values", FUZZ_ROWS, FUZZ_US, calls * block_us, partial(fuzz, model, rows))
    yield _afforded("memory", GROWTH_BLOCKS, GROWTH_US, block_us, partial(_growth, model, rows))


def _afforded(
    check: str, bounds: tuple[int, int], most_us: int, each_us: int, part: Callable[[int], Finding]
) -> Finding:
    """Return what a part finds in as many tries as its time holds, up to a bound; too few are none."""
    count = min(bounds[1], most_us // each_us)
    if count >= bounds[0]:
        return part(count)
    words = (
        f"not tried: {count} tries of {_ms(each_us)} fit into {most_us / 1e6:g} s, {bounds[0]} are the least"
    )
    return Finding(check, "fail", words)


def _growth(model: IsolatedModel, rows: pa.Table, blocks: int) -> Finding:
    """Check what the process holds after many blocks more than after the first ones."""
    invariance.scores_of(model, rows)
    before, begun = model.resident_mb, model.account.blocks.count
    while (asked := model.account.blocks.count - begun) < blocks:
        invariance.scores_of(model, rows)
    grown = max(0, model.resident_mb - before)  # what it holds now: a peak while it was loaded hides a leak
    state = "fail" if grown > GROWTH_FAIL_MB else "warn" if grown > GROWTH_WARN_MB else "pass"
    figures = {"blocks": asked, "grown_mb": grown, "resident_mb_max": model.account.resident_mb_max}
    words = f"{grown} MB more after {asked} blocks, {model.account.resident_mb_max} MB in all"
    return Finding("memory", state, words, figures)  # type: ignore[arg-type]  # one of the three


def _look_ahead(model: IsolatedModel, first_position: int) -> Finding:
    until = model.info.trained_until
    figures = {"trained_until": until, "first_position": first_position}
    if until is None:
        words = "nobody said up to where it was trained (--trained-until)"
        return Finding("look-ahead", "warn", words, figures)
    if until >= first_position:
        words = f"trained up to position {until:,}, tried from {first_position:,}: it has seen these rows"
        return Finding("look-ahead", "fail", words, figures)
    return Finding("look-ahead", "pass", f"trained up to {until:,}, tried from {first_position:,}", figures)


def _cost(model: IsolatedModel, champion: dict[str, int | None]) -> Iterator[Finding]:
    account = model.account
    kills = sum(account.kills.values())
    if kills:
        words = ", ".join(f"{count} {code}" for code, count in sorted(account.kills.items()))
        yield Finding("survival", "fail", f"its process ended {kills} times: {words}", dict(account.kills))
    single, block = account.rows.summary(), account.blocks.summary()
    words = f"one row p50 {_ms(single['p50_us'])}, p99 {_ms(single['p99_us'])}"
    words += f"; 1,024 rows p50 {_ms(block['p50_us'])}, p99 {_ms(block['p99_us'])}"
    if champion.get("p99_us") is not None:
        words += f"; champion p50 {_ms(champion['p50_us'])}, p99 {_ms(champion['p99_us'])}"
    figures: dict[str, Any] = {"row": single, "block": block, "champion": champion}
    yield Finding("latency", "pass", words, figures)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(account.attempts.items()))
    held = {part: state for part, state in account.sandbox.items() if state != "held"}
    figures = {"attempts": account.attempts, "attempted": account.attempted, "not_held": held}
    if told:
        yield Finding("side effects", "fail", f"tried {told}: {'; '.join(account.attempted[:3])}", figures)
    else:
        words = "tried no network, no process, no write"
        if model.info.adapter == "exec":
            words = "a program is not watched; its sandbox holds it"
        elif parse_uri(model.info.uri).remote:
            words = (
                "not watched: what a server does beside nobody sees here; it was asked through the network"
            )
        yield Finding("side effects", "pass", words, figures)


def _ms(microseconds: int | None) -> str:
    return "-" if microseconds is None else f"{microseconds / 1000:.3g} ms"
