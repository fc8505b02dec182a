"""What adapters refuse, and what becomes of a program or a server that goes away."""

import hashlib
import pickle
import socket
import sys
import time

import pyarrow as pa
import pytest

from replay.adapters import open_model, opening, read_artefact
from replay.adapters.bundle import pack, unpack
from replay.adapters.opening import ModelSpec, info_of
from replay.isolation import Limits, open_isolated
from replay.loading_errors import ModelNotLoaded, ModelNotServed, PinnedOtherwise
from replay.model_errors import (
    ModelChanged,
    ModelUnavailable,
    NotAModel,
    PickleRefused,
    UnknownModelUri,
    UntrustedModel,
)
from tests.support import model_zoo
from tests.support.answering import answering

LIMITS = Limits(timeout_s=20.0)


class Marker:
    """Leaves a mark where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def rows(count=4):
    return pa.record_batch(
        {
            "decision_position": pa.array(range(count), pa.int64()),
            "decision_id": [f"d{i}" for i in range(count)],
            "f.x": [float(i) for i in range(count)],
            "f.y": [0.0] * count,
        }
    )


def opened(uri, folder, **more):
    return open_isolated(uri, inputs=("x", "y"), folder=folder, limits=LIMITS, **more)


def test_a_pickle_is_refused_named_and_not_run(tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Marker(str(mark))))
    with pytest.raises(PickleRefused, match=r"\(_?io\.open\)"):
        opened("pickle:evil.pkl", tmp_path)
    with pytest.raises(PinnedOtherwise, match="Restore the pinned file"):
        opened("pickle:evil.pkl?pickle=" + "0" * 64, tmp_path)
    with pytest.raises(UntrustedModel, match="outside a process of its own"):
        open_model("pickle:evil.pkl", inputs=["x"], folder=tmp_path)
    pinned = hashlib.sha256((tmp_path / "evil.pkl").read_bytes()).hexdigest()
    with pytest.raises(ModelNotLoaded, match=r"pickle does not load it: OSError: .*Read-only"):
        opened(f"pickle:evil.pkl?pickle={pinned}", tmp_path)
    assert not mark.exists()


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


@pytest.mark.parametrize(
    "evil",
    [
        text("posix")
        + b"\x94"
        + text("system")
        + b"\x94"
        + text("late")
        + text("model")
        + b"00h\x00h\x01\x93",
        text("posix") + text("system") + text("late") + text("model") + b"00\x93",
        b"".join(b"cpickle\nn%d\n0" % number for number in range(40)) + b"cposix\nsystem\n",
    ],
    ids=["from the memo", "beneath others", "among many"],
)
def test_what_a_pickle_would_import_is_named_however_it_is_spelled(tmp_path, evil):
    (tmp_path / "evil.pkl").write_bytes(b"\x80\x04" + evil + text("ls") + b"\x85R.")
    with pytest.raises(PickleRefused, match=r"\((posix\.system|pickle\.n0, .*, and more)\)"):
        opened("pickle:evil.pkl", tmp_path)


@pytest.mark.parametrize(
    ("uri", "content", "error"),
    [
        ("onnx:m.onnx", b"\x08\x07garbage", ModelNotLoaded),
        ("lightgbm:m.txt", b"\x80\x04cpickle", UntrustedModel),
        ("lightgbm:m.txt", b"tree\nversion=v4\nnum_class=1\n", ModelNotLoaded),
        ("xgboost:m.ubj", b"binf\x00\x00", UntrustedModel),
        ("xgboost:m.json", b"{}", ModelNotLoaded),
        ("pickle:m.pkl", b"no pickle at all", PickleRefused),
    ],
)
def test_bytes_that_are_no_model_are_refused(tmp_path, uri, content, error):
    (tmp_path / uri.partition(":")[2]).write_bytes(content)
    with pytest.raises(error):
        opened(uri, tmp_path)


def test_the_bytes_that_are_loaded_are_those_that_were_read(tmp_path):
    uri, _scorer = model_zoo.onnx(tmp_path)
    held = read_artefact(uri, tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"swapped")
    with opened(uri, tmp_path, artefact=held) as model:
        assert model.score(rows())["error"].null_count == 4


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit(5)", "cannot be loaded: crash: exit code 5"),
        ("print('hello')", "whose first line says"),
        ("import time; time.sleep(3600)", "timeout: no answer in 1.5 s"),
    ],
)
def test_a_program_that_does_not_greet_is_refused(tmp_path, program, said):
    (tmp_path / "rude.py").write_text(program)
    with pytest.raises((ModelNotLoaded, NotAModel), match=said):
        open_isolated(
            "exec:/usr/bin/env python3 rude.py",
            inputs=["x"],
            folder=tmp_path,
            limits=Limits(open_timeout_s=1.5 if "sleep" in program else 60.0),
        )


def test_a_program_that_dies_on_a_row_costs_that_row(tmp_path):
    fatal = model_zoo.LINES.replace("    scores =", "    if 2.0 in x: sys.exit(9)\n    scores =")
    (tmp_path / "score.py").write_text(fatal)
    with opened("exec:./score.py", tmp_path) as model:
        scores = model.score(rows())
    assert scores["error"].to_pylist() == [None, None, "crash: exit code 9", None]


def test_a_program_that_answers_in_another_order_is_noticed(tmp_path):
    turned = model_zoo.LINES.replace('"rows": asked["rows"]', '"rows": asked["rows"][::-1]')
    (tmp_path / "score.py").write_text(turned)
    with opened("exec:./score.py", tmp_path) as model:
        assert set(model.score(rows(2))["error"].to_pylist()) == {
            "ValueError: answer in another order than its rows"
        }


def test_a_server_that_goes_away_marks_no_row(tmp_path):
    with model_zoo.served() as place, opened(model_zoo.REMOTE["json"].format(place), tmp_path) as model:
        whole = model.score(rows())
        assert whole["error"].null_count == 4
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = f"127.0.0.1:{closed.getsockname()[1]}"
    with (
        opened(model_zoo.REMOTE["json"].format(place), tmp_path) as model,
        pytest.raises(ModelUnavailable, match="ConnectionRefusedError"),
    ):
        model.score(rows())


def test_a_server_is_refused_what_its_protocol_lacks(tmp_path):
    with pytest.raises(UnknownModelUri, match="the protocol has no null"):
        opened("oip+http://127.0.0.1:9/v2/models/p?nulls=pass", tmp_path)
    with pytest.raises(ModelNotServed, match="ConnectionRefused"):
        opened("oip+http://127.0.0.1:9/v2/models/p", tmp_path)


def test_a_token_goes_over_no_open_line(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORER", "secret")
    with pytest.raises(UnknownModelUri, match="a token over plain HTTP"):
        opened("http+json://192.0.2.1/score?token=SCORER", tmp_path)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b", ""])
def test_no_file_of_a_bundle_leads_out_of_it(name):
    with pytest.raises(UntrustedModel, match="the file name"):
        unpack("exec:x", pack("exec:x", {name: b""}))


STALE = {
    "answers twice": ("    print(json.dumps", "    for _ in range(1 + (2.0 in x)): print(json.dumps"),
    "breaks a line": (
        '"scores": scores}), flush',
        '"scores": scores}).replace("rows", "ro\\nws" if 2.0 in x else "rows"), flush',
    ),
}


@pytest.mark.parametrize("how", STALE)
def test_an_answer_to_an_earlier_block_is_never_taken_for_the_next_ones(tmp_path, how):
    (tmp_path / "score.py").write_text(model_zoo.LINES.replace(*STALE[how]))
    with opened("exec:./score.py", tmp_path) as model:
        before, after = model.score(rows()), model.score(rows().slice(3))
        killed = model.account.kills
    with opened("exec:./score.py", tmp_path) as model:
        assert model.score(rows().slice(3))["score"].equals(after["score"])
    x = [each.as_py() for each in rows()["f.x"]]
    wanted = model_zoo.expected(x, [0.0] * 4).tolist()
    found = zip(before["score"].to_pylist(), wanted, strict=True)
    assert all(score is None or score == pytest.approx(right) for score, right in found)
    assert after["score"].to_pylist() == pytest.approx(wanted[3:])
    assert killed["bad_answer"] >= 1


def test_an_arrow_program_that_says_a_wrong_length_costs_the_row_that_made_it(tmp_path):
    wrong = model_zoo.ARROW.replace(
        'struct.pack("<I", len(data))', 'struct.pack("<I", 2**31 if (x == 2).any() else len(data))'
    )
    (tmp_path / "score.py").write_text(wrong)
    with opened(f"exec:{sys.executable} score.py?format=arrow", tmp_path) as model:
        scores = model.score(rows())
    assert scores["error"].to_pylist() == [None, None, "bad answer: 2147483648 bytes", None]


@pytest.fixture
def server():
    with answering() as found:
        yield found


def at(server, kind):
    return model_zoo.REMOTE[kind].format(f"127.0.0.1:{server.server_port}")


NO_ANSWERS = {
    "a redirect": (lambda h, _v: h.say(302, b"", Location="/login"), "HTTP 302: a redirect to /login"),
    "no such path": (lambda h, _v: h.say(404, {"error": "no route"}), "HTTP 404"),
    "no right": (lambda h, _v: h.say(401, {"error": "token expired"}), "HTTP 401"),
    "a page": (
        lambda h, _v: h.say(200, b"<html>back soon</html>"),
        "answer that is no JSON: <html>back soon",
    ),
    "a cut body": (lambda h, _v: h.say(200, b'{"predictions": [', short=900), "IncompleteRead"),
}


@pytest.mark.parametrize("what", NO_ANSWERS)
def test_what_says_nothing_of_the_rows_marks_none(server, tmp_path, what):
    says, told = NO_ANSWERS[what]
    with opened(at(server, "json"), tmp_path) as model:
        assert model.score(rows())["error"].null_count == 4
        server.says = says
        with pytest.raises(ModelUnavailable, match=told):
            model.score(rows())


def test_a_server_that_hangs_marks_no_row_and_one_that_hangs_on_a_row_marks_that_one(server, tmp_path):
    def sticks(handler, values):
        time.sleep(30 if 2.0 in values else 0)
        handler.score(values)

    limits = Limits(timeout_s=1.0)
    with open_isolated(at(server, "json"), inputs=("x", "y"), folder=tmp_path, limits=limits) as model:
        assert model.score(rows(2))["error"].null_count == 2
        server.says = sticks
        assert model.score(rows())["error"].to_pylist() == [None, None, "timeout: no answer in 1 s", None]
        server.says = lambda _handler, _values: time.sleep(30)
        with pytest.raises(ModelUnavailable, match="timeout: no answer in 1 s"):
            model.score(rows())


def test_a_server_that_fails_on_a_row_marks_that_one(server, tmp_path):
    def fails(handler, values):
        return handler.say(500, {"error": "two"}) if 2.0 in values else handler.score(values)

    with opened(at(server, "oip"), tmp_path) as model:
        assert model.score(rows(2))["error"].null_count == 2
        server.says = fails
        scores = model.score(rows())
    assert scores["error"].to_pylist() == [None, None, 'HTTP 500: {"error": "two"}', None]


def test_twice_as_many_values_are_no_second_column(server, tmp_path):
    server.says = lambda handler, values: handler.score([value / 2 for value in values] * 2)
    with opened(at(server, "oip"), tmp_path) as model:
        errors = set(model.score(rows())["error"].to_pylist())
    assert errors == {"ValueError: answer of 2048 values in shape [2048] for 1024 rows"}


def test_a_server_with_another_model_is_not_taken_for_the_registered_one(server, tmp_path):
    held = read_artefact(at(server, "oip"), tmp_path)
    server.version = "2"
    with pytest.raises(ModelChanged, match="it was registered with"):
        opened(at(server, "oip"), tmp_path, artefact=held)


def test_an_adapter_that_gives_the_bytes_otherwise_makes_another_model(monkeypatch, tmp_path):
    uri, _scorer = model_zoo.onnx(tmp_path)
    spec, held = ModelSpec(uri), read_artefact(uri, tmp_path)
    before = info_of(spec, held, ("x", "y")).digest
    monkeypatch.setattr(opening.ADAPTERS["onnx"], "VERSION", opening.ADAPTERS["onnx"].VERSION + 1)
    assert info_of(spec, held, ("x", "y")).digest != before
