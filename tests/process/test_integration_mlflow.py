"""A model that is saved with MLflow and served by MLflow's own scoring server records there."""

from pathlib import Path

from harness.log.log import Log
from tests.support.web import decisions, serving

SERVICE = "tests.support.pyfunc_service"


def test_a_served_pyfunc_records_every_row_that_it_answers(fresh_log: Log, tmp_path: Path) -> None:
    model = tmp_path / "model"
    rows = [{"amount": 2.0, "country": "NZ"}, {"amount": 8.0, "country": "AU"}]
    environment = {"HARNESS_DATABASE_URL": fresh_log.url, "OMP_NUM_THREADS": "1"}
    with serving([SERVICE, "serve", str(model), "{socket}"], environment) as server:
        reply = server.ask("POST", "/invocations", {"dataframe_records": rows})
        assert (reply.status, reply.json()) == (200, {"predictions": [0.25, 1.0]})
        assert server.ask("POST", "/invocations", {"no": "table"}).status == 400
        server.stop()
    table = decisions(fresh_log)
    names = ("score", "decision", "f.amount", "f.country", "model")
    assert [tuple(row[name] for name in names) for row in table.to_pylist()] == [
        (0.25, "allow", 2.0, "NZ", "weighed"),
        (1.0, "block", 8.0, "AU", "weighed"),
    ]
