"""Models registered for an earlier version of their adapter: told for what they are, never scored."""

import pytest

from harness.models import add_model, registered
from replay.adapters import program
from replay.model_errors import AdapterChanged

PROGRAM = """
import json, sys
print(json.dumps({"inputs": ["amount"]}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"rows": asked["rows"], "scores": asked["columns"]["amount"]}), flush=True)
"""


def added(log, folder, version):
    return add_model(log, "exec:python3 score.py", name="own", version=version, folder=folder)


def test_a_program_that_was_numbered_otherwise_is_another_model_and_says_so(event_log, tmp_path, monkeypatch):
    (tmp_path / "score.py").write_text(PROGRAM)
    with monkeypatch.context() as before:
        before.setattr(program, "VERSION", 1)
        first = added(event_log, tmp_path, "1")
        assert registered(event_log, "own:1", tmp_path)[0].digest == first.body["digest"]
    for again in (lambda: registered(event_log, "own:1", tmp_path), lambda: added(event_log, tmp_path, "1")):
        with pytest.raises(AdapterChanged, match="registered for version 1 of the adapter 'exec'") as caught:
            again()
        assert caught.value.exit_code == 2
        assert "harness model add 'exec:python3 score.py'" in str(caught.value)
    second = added(event_log, tmp_path, "2")
    assert second.body["artefact"] == first.body["artefact"]
    assert second.body["digest"] != first.body["digest"]
    assert registered(event_log, "own:2", tmp_path)[0].digest == second.body["digest"]
