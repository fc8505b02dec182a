"""The examples under their real servers: what clients were told is what the log holds, once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.log.log import Log
from tests.support.web import Server, decisions, serving, writers

UVICORN = ["uvicorn", "--uds", "{socket}", "--log-level", "warning"]
GUNICORN = ["gunicorn", "--bind", "unix:{socket}", "--log-level", "warning", "--no-control-socket"]
# A client that a loaded machine holds up for longer than gunicorn's two seconds is cut off unheard.
GUNICORN += ["--keep-alive", "60", "--timeout", "120"]
FASTAPI = [*UVICORN, "--app-dir", "examples/fastapi", "app:app"]
FLASK = [*GUNICORN, "--chdir", "examples/flask", "--workers", "2"]


def order(number: int) -> dict[str, Any]:
    country = "NZ" if number % 3 else "AU"
    return {"customer": f"c{number % 7}", "amount": 10.0 * number, "country": country}


def decide(server: Server, number: int) -> tuple[str, tuple[Any, ...]]:
    """Return the id that the client was told, and the row that the log must have of it."""
    asked = order(number)
    reply = server.ask("POST", "/decide", asked, traceparent=f"00-{number:032x}-{1:016x}-01")
    assert reply.status == 200
    told = reply.json()
    row = (
        told["risk"],
        told["action"],
        asked["customer"],
        f"{number:032x}",
        asked["amount"],
        asked["country"],
    )
    return told["id"], row


def recorded(log: Log) -> dict[str, tuple[Any, ...]]:
    table = decisions(log)
    names = ("score", "decision", "unit", "trace_id", "f.amount", "f.country")
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    ids = table["decision_id"].to_pylist()
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    return dict(zip(ids, rows, strict=True))


def test_fastapi_under_uvicorn_records_what_it_answered(fresh_log: Log) -> None:
    with serving(FASTAPI, {"HARNESS_DATABASE_URL": fresh_log.url}) as server:
        told = dict(decide(server, number) for number in range(50))
        assert server.ask("GET", "/openapi.json").status == 200  # not watched
        assert server.ask("POST", "/decide", {"customer": "c1"}).status == 422  # decided nothing
        assert server.stop() in (0, -15)
    assert recorded(fresh_log) == told
    latencies = decisions(fresh_log)["latency_us"].to_pylist()
    assert all(0 < latency < 30_000_000 for latency in latencies)


@pytest.mark.parametrize("load", [["--preload"], ["--worker-class", "gthread", "--threads", "2"]])
def test_flask_under_prefork_gunicorn_records_once_as_one_writer_a_worker(
    fresh_log: Log, load: list[str]
) -> None:
    with serving([*FLASK, *load, "app:app"], {"HARNESS_DATABASE_URL": fresh_log.url}) as server:
        told: dict[str, tuple[Any, ...]] = {}
        with ThreadPoolExecutor(8) as clients:
            for _ in range(20):  # until both workers have answered
                at = len(told)
                told |= dict(clients.map(lambda number: decide(server, number), range(at, at + 100)))
                if len(writers(fresh_log)) == 2:
                    break
        assert server.stop() == 0
    assert recorded(fresh_log) == told
    assert len(writers(fresh_log)) == 2
    assert sum(writers(fresh_log).values()) == len(told)
