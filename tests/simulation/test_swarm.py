"""Thousands of seeded histories of recorders, network, log and reader, and the bugs they must find."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorders.outbox import Outbox
from tests.simulation import mutants
from tests.simulation.model_log import ModelLog
from tests.simulation.swarm import run
from tests.simulation.world import Violation

SEEDS = 3_000
CHUNK = 500
MUTANT_SEEDS = 3_000
KEPT = [
    int(line.partition("#")[0])
    for line in (Path(__file__).parent / "failing_seeds.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A million warnings of links that are down help nobody."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def broken(seed: int, log: type[ModelLog] = ModelLog, outbox: type[Outbox] = Outbox) -> str:
    """Return which promise a seed breaks, "" when all hold."""
    try:
        run(seed, log, outbox)
    except Violation as violation:
        return str(violation)
    return ""


@pytest.mark.parametrize("seed", KEPT)
def test_seeds_that_once_failed_hold(seed: int) -> None:
    assert broken(seed) == ""


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    found = {seed: broken(seed) for seed in range(first, first + CHUNK)}
    failures = {seed: text for seed, text in found.items() if text}
    assert failures == {}, "add these seeds to tests/simulation/failing_seeds.txt"


def test_the_swarm_reaches_what_it_is_for() -> None:
    """A swarm that never meets a full queue or a refusal would prove nothing about them."""
    met: dict[str, int] = {}
    for seed in range(300):
        world = run(seed)
        for service in world.services:
            counters = service.recorder.counters
            for reason in (*counters.dropped, *counters.rejected):
                met[reason] = met.get(reason, 0) + 1
            met["resent"] = met.get("resent", 0) + bool(counters.resent)
            met[service.ended] = met.get(service.ended, 0) + 1
        met["loss"] = met.get("loss", 0) + any(batch.frame.kind == "loss" for batch in world.log.stored)
    wanted = ("full", "stopped", "refused", "exit", "type", "resent", "crash", "loss")
    assert {name: met.get(name, 0) >= 10 for name in wanted} == dict.fromkeys(wanted, True)


def test_the_reader_of_the_highest_position_is_caught_on_a_log_that_numbers_before_it_commits() -> None:
    caught = [broken(seed, mutants.PositionsBeforeCommit) for seed in range(CHUNK)]
    assert any(text.startswith("the reader saw the log") for text in caught)
    assert all(text == "" or text.startswith("the reader saw the log") for text in caught)


@pytest.mark.parametrize("log", mutants.LOGS, ids=lambda log: log.__name__)
def test_a_log_with_a_planted_bug_is_caught(log: type[ModelLog]) -> None:
    assert any(broken(seed, log=log) for seed in range(MUTANT_SEEDS))


@pytest.mark.parametrize("outbox", mutants.OUTBOXES, ids=lambda outbox: outbox.__name__)
def test_an_outbox_with_a_planted_bug_is_caught(outbox: type[Outbox]) -> None:
    assert any(broken(seed, outbox=outbox) for seed in range(MUTANT_SEEDS))


def test_a_seed_is_one_history() -> None:
    first, again = run(7), run(7)
    assert [batch.frame for batch in first.log.stored] == [batch.frame for batch in again.log.stored]
    assert first.log.stored
