"""Why a row has no score: the texts that the log keeps, and the code that each counts under."""

MISSING = "missing input: "
TIMEOUT = "timeout: "
CRASH = "crash: "
MEMORY = "memory: "
GIVEN_UP = "given up: "
UNAVAILABLE = "unavailable: "
BAD_ANSWER = "bad answer: "
_CODES = {
    MISSING: "missing_input",
    TIMEOUT: "timeout",
    CRASH: "crash",
    MEMORY: "memory",
    "MemoryError": "memory",
    "_ArrayMemoryError": "memory",
    GIVEN_UP: "given_up",
    UNAVAILABLE: "unavailable",
    BAD_ANSWER: "bad_answer",
    "ValueError: answer ": "bad_answer",
    "score is ": "not_finite",
    "SystemExit": "exit",
    "no score": "no_score",
}


def reason_code(error: str) -> str:
    """Return the code of a row's error; what a model raised itself is `raised`.

    >>> reason_code("timeout: no answer in 10 s"), reason_code("score is nan"), reason_code("KeyError: 'x'")
    ('timeout', 'not_finite', 'raised')
    """
    return next((code for start, code in _CODES.items() if error.startswith(start)), "raised")
