"""How many tails one worker follows: no more than leave the server's connections to those who record."""

from harness.log.log import Log

# What a tail holds all the time: one connection reads, one appends, one has its lease.
CONNECTIONS = 3


def room(log: Log) -> int:
    """Return how many tails have room in two thirds of the connections that the log's server admits.

    The last third is for recorders, sidecars and commands: live is never shut out by challengers.
    """
    return max(1, connections(log) * 2 // (3 * CONNECTIONS))


def connections(log: Log) -> int:
    """Return how many connections the log's server admits at once."""
    return int(log.rows("connections")[0][0])
