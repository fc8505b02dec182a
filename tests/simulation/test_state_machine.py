"""The same world, driven by Hypothesis: it finds fewer bugs than the swarm, and shows them smaller."""

import logging

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.simulation.swarm import FAULTS, SERVICES_MAX
from tests.simulation.world import World

PLACES = st.integers(0, SERVICES_MAX - 1)


class Histories(RuleBasedStateMachine):
    """Turns of a world in any order; all promises are checked at the end of each history."""

    world: World

    @initialize(seed=st.integers(0, 2**32), faults=st.frozensets(st.sampled_from(FAULTS)))
    def begin(self, seed: int, faults: frozenset[str]) -> None:
        logging.disable(logging.CRITICAL)
        self.world = World(seed, faults)

    @rule(place=PLACES, times=st.integers(1, 5))
    def record(self, place: int, times: int) -> None:
        for _ in range(times):
            self.world.record(place)

    @rule(place=PLACES)
    def record_wrongly(self, place: int) -> None:
        self.world.record_wrongly(place)

    @rule(place=PLACES)
    def carry(self, place: int) -> None:
        self.world.tick()
        self.world.carry(place)

    @rule()
    def poll(self) -> None:
        self.world.poll()

    @rule()
    def deliver_late(self) -> None:
        self.world.deliver_late()

    @rule()
    def end_transaction(self) -> None:
        self.world.end_transaction()

    @rule()
    def flip_network(self) -> None:
        self.world.flip_network()

    @rule(place=PLACES)
    def crash(self, place: int) -> None:
        self.world.crash(place)

    @rule(place=PLACES)
    def exit(self, place: int) -> None:
        self.world.exit(place)

    @precondition(lambda self: len(self.world.services) < SERVICES_MAX)
    @rule(place=PLACES)
    def fork(self, place: int) -> None:
        self.world.fork(place)

    @precondition(lambda self: not (self.world.cloned or self.world.restored))
    @rule(place=PLACES)
    def clone(self, place: int) -> None:
        self.world.clone(place)

    @precondition(lambda self: not (self.world.cloned or self.world.restored))
    @rule()
    def restore(self) -> None:
        self.world.restore()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.heal()
            self.world.check()
        logging.disable(logging.NOTSET)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
