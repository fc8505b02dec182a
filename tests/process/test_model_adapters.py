"""What adapters refuse, and what becomes of a program or a server that goes away."""

import hashlib
import pickle
import socket

import pyarrow as pa
import pytest

from replay.adapters import open_model, read_artefact
from replay.adapters.bundle import pack, unpack
from replay.isolation import Limits, open_isolated
from replay.loading_errors import ModelNotLoaded, ModelNotServed, PinnedOtherwise
from replay.model_errors import ModelUnavailable, NotAModel, PickleRefused, UnknownModelUri, UntrustedModel
from tests.support import model_zoo

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
    with pytest.raises(ModelNotLoaded, match="pickle does not load it: PermissionError"):
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
