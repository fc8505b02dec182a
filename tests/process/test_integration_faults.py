"""Whatever is wrong with the recorder, clients get the bytes that they get without one, and do not wait."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.sidecars import until
from tests.support.web import PATIENCE_S, Server, serving

SERVERS = {
    "uvicorn": ["uvicorn", "--uds", "{socket}", "--log-level", "critical", "tests.support.faulty:asgi"],
    "gunicorn": [
        "gunicorn", "--bind", "unix:{socket}", "--log-level", "critical", "--no-control-socket",
        "--worker-class", "gthread", "tests.support.faulty:wsgi",
    ],
}  # fmt: skip
ASKED = 20
pytestmark = pytest.mark.xdist_group("integration-faults")  # one server for all faults
UNUSABLE = {"size": 1, "type": 1}  # a body over the limit, and a stream to a request without a body
LARGE = {"age": 41, "amount": 2.5, "padding": "x" * 5_000}


def answers(server: Server, fault: str) -> list[tuple[int, dict[str, str], bytes]]:
    bodies = [*({"age": 41, "amount": float(number)} for number in range(ASKED)), LARGE]
    replies = [server.ask("POST", f"/{fault}/decide", body) for body in bodies]
    replies.append(server.ask("GET", f"/{fault}/stream"))
    return [
        (reply.status, {k: v for k, v in reply.headers.items() if k != "date"}, reply.body)
        for reply in replies
    ]


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(SERVERS[request.param], {}) as server:
        yield server


@pytest.mark.parametrize(
    ("fault", "accepted", "rejected", "dropped"),
    [
        ("nothing", ASKED, UNUSABLE, {}),
        ("link", ASKED, UNUSABLE, {}),
        ("hang", ASKED, UNUSABLE, {}),
        ("full", 1, UNUSABLE, {"full": ASKED - 1}),
        ("extractor", 0, {"exception": ASKED + 2}, {}),
        ("answer", 0, {"exception": ASKED + 2}, {}),
        ("values", 0, {"type": ASKED + 2}, {}),
    ],
)
def test_a_broken_recorder_is_not_seen_by_clients(
    server: Server, fault: str, accepted: int, rejected: dict[str, int], dropped: dict[str, int]
) -> None:
    def counters() -> dict[str, Any]:
        found: dict[str, Any] = server.ask("GET", f"/{fault}/counters").json()
        return found

    without = answers(server, "none")
    assert answers(server, fault) == without
    # What is read of an exchange is read behind its answer.
    until(lambda: sum(counters()["rejected"].values()) == sum(rejected.values()), PATIENCE_S)
    found = counters()
    assert (found["accepted"], found["rejected"], found["dropped"]) == (accepted, rejected, dropped)
    if fault == "hang":
        assert found["acked"] == 0, "every answer came although the link gives none"
