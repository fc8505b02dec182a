import io
import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from replay.adapters import check_digest, open_model
from replay.adapters.python import source_of
from replay.adapters.sklearn import load_estimator
from replay.adapters.uri import parse_uri
from replay.loading_errors import InputsNotNamed, KeyNotAnInput, ModelNotLoaded
from replay.model_errors import ModelChanged, ModelNotFound, NotAModel, UnknownModelUri, UntrustedModel

SOURCE = """
inputs = ("x",)
class Half:
    inputs = ("x",)
    def predict(self, frame):
        return frame["x"] / 2
def double(frame):
    return frame["x"] * 2
class Nothing:
    pass
half = Half()
class Remembers(Half):
    def observe(self, frame): ...
    def snapshot(self): return b""
    def restore(self, state): ...
"""


def rows(n=4):
    return pa.record_batch(
        {
            "decision_position": pa.array(range(n), pa.int64()),
            "decision_id": [f"d{i}" for i in range(n)],
            "f.x": [float(i) for i in range(n)],
        }
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "candidates.py").write_text(SOURCE)
    frame = pd.DataFrame({"x": np.arange(60.0)})
    label = (frame.x > 30).astype(int)
    skops.io.dump(LogisticRegression().fit(frame, label), tmp_path / "late.skops")
    skops.io.dump(StandardScaler().fit(frame), tmp_path / "scaler.skops")
    many = LogisticRegression().fit(frame, pd.cut(frame.x, 3, labels=["a", "b", "c"]))
    skops.io.dump(many, tmp_path / "many.skops")
    return tmp_path


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("picle:x.pkl", "no adapter 'picle'"),
        ("sklearn:", "names nothing"),
        ("recorded:challenger", "only the champion is recorded"),
        ("py:module", "is not module:attr"),
        ("py:m:f?treshold=1", "nearest: threshold"),
        ("py:m:f?threshold=high", "Expected a number"),
        ("py:m:f?threshold=nan", "neither NaN nor infinite"),
        ("py:m:f?threshold=-inf", "neither NaN nor infinite"),
        ("py:m:f?nulls=maybe", "nulls=error, nulls=pass or nulls=value:NUMBER"),
        ("py:m:f?decisions=a,b", "beside a threshold"),
        ("py:m:f?threshold=1&decisions=a,,b", "two names"),
        (f"py:m:f?threshold=1&decisions=a,{'b' * 257}", "of at most 256 characters"),
        ("py:m:f?method=fit", "method='fit'"),
        ("py:m:f?class=1&class=2", "given twice"),
        ("py:m:f?", None),
    ],
)
def test_a_uri_that_cannot_be_read_says_what_would_be(uri, said):
    if said is None:
        assert parse_uri(uri).options == {}
        return
    with pytest.raises(UnknownModelUri, match=said) as caught:
        parse_uri(uri)
    assert caught.value.exit_code == 2


def test_a_function_an_object_and_a_class_of_a_module_score(folder):
    double = open_model("py:candidates:double", inputs=["x"], folder=folder)
    assert double.score(rows())["score"].to_pylist() == [0.0, 2.0, 4.0, 6.0]
    for attribute in ("half", "Half"):
        model = open_model(f"py:candidates:{attribute}", folder=folder)
        assert model.info.inputs == ("x",)
        assert model.score(rows())["score"].to_pylist() == [0.0, 0.5, 1.0, 1.5]


def test_two_versions_of_one_file_live_side_by_side(folder):
    before = open_model("py:candidates:double", inputs=["x"], folder=folder)
    (folder / "candidates.py").write_text(SOURCE.replace("* 2", "* 3"))
    after = open_model("py:candidates:double", inputs=["x"], folder=folder)
    assert before.info.digest != after.info.digest
    assert before.score(rows())["score"].to_pylist()[1] == 2.0
    assert after.score(rows())["score"].to_pylist()[1] == 3.0
    with pytest.raises(ModelChanged, match="Restore the file") as caught:
        check_digest(after, before.info.digest)
    assert caught.value.exit_code == 40


def test_what_decides_scores_decides_the_digest(folder):
    uris = ["late.skops", "late.skops?threshold=0.5", "late.skops?class=0", "late.skops?nulls=pass"]
    digests = {open_model(f"sklearn:{uri}", folder=folder).info.digest for uri in uris}
    digests.add(open_model("py:candidates:half", folder=folder).info.digest)
    digests.add(open_model("py:candidates:half", version="2", folder=folder).info.digest)
    assert len(digests) == 6
    renamed = folder / "same.skops"
    renamed.write_bytes((folder / "late.skops").read_bytes())
    same = open_model("sklearn:same.skops", name="other", version="9", folder=folder)
    assert same.info.digest in digests


@pytest.mark.parametrize(
    ("uri", "error", "said"),
    [
        ("py:candidates:Nothing", NotAModel, "a Nothing without predict_proba or predict or score"),
        ("py:candidates:half?method=score", NotAModel, "a Half without score"),
        ("py:candidates:absent", ModelNotFound, "absent"),
        ("py:candidates:Remembers?key=card", KeyNotAnInput, "remembers by 'card', which it does not read"),
        ("py:no_such_module_here:f", ModelNotFound, "no module"),
        ("py:sys:path", ModelNotFound, "with Python source"),
        ("py:candidates:double", None, ""),
        ("sklearn:absent.skops", ModelNotFound, "No such file"),
        ("sklearn:scaler.skops", NotAModel, "a StandardScaler without predict"),
        ("sklearn:candidates.py", UntrustedModel, "not a skops file"),
        ("sklearn:many.skops", UnknownModelUri, "3 classes and none chosen"),
        ("sklearn:many.skops?class=d", UnknownModelUri, "is none of its classes"),
    ],
)
def test_what_is_no_model_is_told_apart(folder, uri, error, said):
    if error is None:
        with pytest.raises(InputsNotNamed, match="--inputs"):
            open_model(uri, folder=folder)
        return
    with pytest.raises(error, match=said):
        open_model(uri, inputs=["x"], folder=folder)


def test_a_module_that_does_not_run_says_why(folder):
    (folder / "broken_candidate.py").write_text("import no_such_thing_at_all")
    with pytest.raises(ModelNotLoaded, match=r"does not run: ModuleNotFoundError: .*no_such_thing"):
        open_model("py:broken_candidate:f", inputs=["x"], folder=folder)


def test_a_chosen_class_is_the_score(folder):
    first = open_model("sklearn:late.skops?class=0", folder=folder).score(rows())["score"].to_numpy()
    second = open_model("sklearn:late.skops", folder=folder).score(rows())["score"].to_numpy()
    assert np.allclose(first + second, 1.0)
    assert open_model("sklearn:many.skops?class=a", folder=folder).score(rows())["score"][0].as_py() > 0.5


def refused(content):
    with pytest.raises(UntrustedModel) as caught:
        load_estimator(parse_uri("sklearn:x.skops"), content)
    assert caught.value.exit_code == 40
    return caught.value.refused


def altered(content, change):
    """The same file with its schema changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, change(data) if name == "schema.json" else data)
    return out.getvalue()


def test_types_outside_our_list_are_refused_by_name_and_never_built():
    assert refused(skops.io.dumps(CountVectorizer().fit(["one two"]))) == (
        "sklearn.feature_extraction.text.CountVectorizer",
    )
    plain = skops.io.dumps(LogisticRegression())
    evil = altered(plain, lambda d: d.replace(b"linear_model._logistic", b"svm._classes"))
    assert "sklearn.svm._classes.LogisticRegression" in refused(evil)


def test_a_node_that_calls_something_is_refused_whatever_its_type():
    def reduce_node(data):
        schema = json.loads(data)
        schema["content"]["content"]["C"] = {
            "__class__": "str",
            "__module__": "builtins",
            "__loader__": "ConstructorFromReduceNode",
            "content": {},
        }
        return json.dumps(schema).encode()

    found = refused(altered(skops.io.dumps(LogisticRegression()), reduce_node))
    assert found == ("builtins.str (as ConstructorFromReduceNode)",)


def small_data():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc"))
    return frame, (frame.a > 0).astype(int)


def test_a_tree_whose_child_lies_outside_its_nodes_is_refused():
    """The walk has no bounds check: such a file crashes the process at its first prediction."""
    boosting = HistGradientBoostingClassifier(max_iter=2).fit(*small_data())
    load_estimator(parse_uri("sklearn:x.skops"), skops.io.dumps(boosting))
    boosting._predictors[0][0].nodes["left"][0] = 10_000
    assert refused(skops.io.dumps(boosting)) == ("TreePredictor has a child outside its nodes",)
    boosting._predictors[0][0].nodes["left"][0] = 1
    boosting._predictors[0][0].nodes["feature_idx"][0] = 99
    assert refused(skops.io.dumps(boosting)) == ("TreePredictor has a feature outside its model",)


def test_a_walk_that_never_ends_is_refused():
    forest = RandomForestClassifier(2).fit(*small_data())
    load_estimator(parse_uri("sklearn:x.skops"), skops.io.dumps(forest))
    tree = DecisionTreeClassifier().fit(*small_data())
    state = tree.tree_.__getstate__()
    state["nodes"]["right_child"][0] = 0
    tree.tree_.__setstate__(state)
    assert refused(skops.io.dumps(tree)) == ("Tree has a child outside its nodes",)


def test_a_file_of_another_library_version_is_not_trusted_to_score_alike():
    content = skops.io.dumps(LogisticRegression())
    older = altered(content, lambda d: d.replace(b'"content": "\\"1.9', b'"content": "\\"1.2'))
    with pytest.raises(ModelNotLoaded, match=r"scikit-learn 1\.2"):
        load_estimator(parse_uri("sklearn:x.skops"), older)


def test_a_dotted_module_is_not_some_other_file_of_that_last_name(tmp_path):
    (tmp_path / "near.py").write_text("def f(frame): return frame\nf.inputs = ('a',)\n")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "near.py").write_text("def f(frame): return frame['a']\nf.inputs = ('a',)\n")
    for name, expected in (("near", tmp_path / "near.py"), ("pkg.near", tmp_path / "pkg" / "near.py")):
        path, _source = source_of(parse_uri(f"py:{name}:f"), tmp_path)
        assert path == str(expected)
    with pytest.raises(ModelNotFound):
        source_of(parse_uri("py:nosuch.near:f"), tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise KeyError('gone')", "does not run: KeyError"),
        ("import sys; sys.exit(5)", "does not run: SystemExit: 5"),
        (
            "class f:\n    def __init__(self): raise RuntimeError('no weights')",
            "failed: RuntimeError: no weights",
        ),
    ],
)
def test_a_module_that_does_not_run_is_named_with_its_reason(tmp_path, source, reason):
    (tmp_path / "odd.py").write_text(source)
    with pytest.raises(ModelNotLoaded, match=reason):
        open_model("py:odd:f", name="m", version="1", inputs=("a",), folder=tmp_path)


@pytest.mark.parametrize("named", ["'x'", "5", "['x', 5]", "['']", "[['x']]"])
def test_inputs_that_are_no_list_of_names_are_refused(tmp_path, named):
    (tmp_path / "odd.py").write_text(f"def f(rows):\n    return rows.x\nf.inputs = {named}\n")
    with pytest.raises(ModelNotLoaded, match="no list of names"):
        open_model("py:odd:f", folder=tmp_path)


def test_two_columns_of_a_function_are_no_classes_that_it_names(tmp_path):
    (tmp_path / "pairs.py").write_text(
        "import numpy as np\n"
        "def two(rows):\n    return np.tile([0.25, 0.75], (len(rows), 1))\n"
        "two.inputs = ('x',)\n"
        "class Classes:\n    inputs = ('x',)\n    def predict_proba(self, rows):\n        return two(rows)\n"
    )

    def answer(uri):
        scored = open_model(uri, folder=tmp_path).score(rows())
        return scored["score"][0].as_py(), scored["error"][0].as_py()

    assert answer("py:pairs:two") == (None, "ValueError: 2 columns of scores: choose one with ?class=")
    assert answer("py:pairs:two?class=0") == (0.25, None)
    assert answer("py:pairs:Classes") == (0.75, None)
