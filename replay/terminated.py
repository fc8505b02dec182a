"""The end that a command is told. It passes every guard: no model and no function of a user raised it."""


class Terminated(SystemExit):
    """What SIGTERM raises in a command, and SIGINT in its workers.

    No code's own `sys.exit`, which costs a row and ends nothing.
    """
