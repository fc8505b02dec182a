"""What an experiment plans beside its gate: declared in its file, told with what it may say."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.beside import asides
from harness.cli.main import run
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import take_look
from harness.models import add_model
from harness.report.gather import gather
from harness.report.page import render
from harness.strict_toml import TomlFileError
from harness.verdicts import explain
from tests.support.shop import Shop, experiment_text

Command = Callable[..., tuple[int, str]]
REQUESTS = """
[[metrics]]
name = "accuracy"
threshold = 0.6
role = "guardrail"
margin = 0.2
planned_units = 2_000
planned = ["obrien-fleming", "pocock", "mcnemar", "tost", "wilson"]
[[metrics]]
name = "absolute_error"
role = "context"
bound = 1.0
quantiles = [0.5, 0.9]
prior = 0.1
[policy]
max_repeats = 1.0
"""
DAYS = """
[[metrics]]
name = "auc"
role = "context"
planned_units = 40
planned = ["delong", "obrien-fleming"]
[policy]
"""


def entered(log: Log, folder: Path, metrics: str, unit: str | None = None, model: str = "oracle") -> Shop:
    uri = f"py:tests.support.shop:{model}"
    add_model(log, uri, name=model, version="1", trained_until=0, inputs=["x"], folder=folder)
    text = experiment_text("planned", f"{model}:1").replace("[policy]\n", metrics)
    if unit is not None:
        text = text.replace('kind = "day"\ntimezone = "UTC"', f'kind = "{unit}"')
    (folder / "planned.toml").write_text(text)
    register(log, read_experiment(folder / "planned.toml"))
    return Shop(log)


def looked(shop: Shop, weeks: int) -> list[dict[str, tuple[str, str]]]:
    """What stands beside the gates at each weekly look: figure and validity by name."""
    found = []
    for week in range(weeks):
        shop.days(7 * week, 7 * week + 7)
        verdict = take_look(shop.log, "planned").look.verdict
        found.append({each.name: (each.figure, each.validity) for each in asides(verdict)})
    return found


def test_planned_tests_and_quantiles_are_told_at_every_look_and_explained_to_the_byte(
    event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shop = entered(event_log, tmp_path, REQUESTS, "request")
    first, second = looked(shop, 2)
    bounds = [
        float(told["accuracy: group-sequential, obrien-fleming, planned looks"][0].split("bound ")[1][:5])
        for told in (first, second)
    ]
    assert bounds[0] > bounds[1] > 2.0, "O'Brien and Fleming ask for less, the more was seen"
    assert first["accuracy: exact McNemar, planned once"][1] == "exact"
    assert second["accuracy: TOST, planned once"][1] == "asymptotic"
    assert second["accuracy: Wilson, champion, planned once"][0].count(" to ") == 1
    assert {"absolute_error: quantile 0.5, champion", "absolute_error: quantile 0.9, challenger"} <= {*second}
    assert second["absolute_error: posterior, prior spread 0.1"][1] == "report_only"
    assert explain(event_log, "planned").look.verdict.look == 2
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    monkeypatch.chdir(tmp_path)
    run(["verdict", "explain", "planned"])
    told = capfd.readouterr().out
    for name, (figure, validity) in second.items():
        assert name in told
        assert figure in told
        assert f"{validity}, provided that" in told
    page = render(gather(event_log, "planned"))
    assert "Beside the gates" in page
    assert "group-sequential, pocock, planned looks" in page


def test_delong_is_told_of_whole_days(event_log: Log, tmp_path: Path) -> None:
    shop = entered(event_log, tmp_path, DAYS, model="band")
    (told,) = looked(shop, 1)
    figure, validity = told["auc: DeLong, planned once"]
    assert figure.startswith("p-value")
    assert validity == "asymptotic"
    assert "auc: group-sequential, obrien-fleming, planned looks" in told


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (REQUESTS.replace('"wilson"]', '"delong"]'), "planned"),
        (REQUESTS.replace('"wilson"]', '"wilsn"]'), "planned"),
        (REQUESTS.replace("planned_units = 2_000\n", ""), "planned_units"),
        (REQUESTS.replace("quantiles = [0.5, 0.9]", "quantiles = [0.5, 1.0]"), "quantiles"),
        (REQUESTS.replace("quantiles = [0.5, 0.9]", "quantiles = []"), "quantiles"),
        (REQUESTS.replace("prior = 0.1", "prior = 0.1\nplanned_units = 9\nplanned = ['tost']"), "planned"),
    ],
)
def test_what_the_evidence_does_not_hold_is_refused_by_its_key(tmp_path: Path, given: str, key: str) -> None:
    text = experiment_text("planned", "oracle:1").replace("[policy]\n", given)
    path = tmp_path / "planned.toml"
    path.write_text(text.replace('kind = "day"\ntimezone = "UTC"', 'kind = "request"'))
    with pytest.raises(TomlFileError, match=key):
        read_experiment(path)
