"""Feature sets: what can be declared, what is refused, and that errors name the nearest known word."""

import itertools
import pickle
from pathlib import Path

import msgspec
import pytest

from recorders.errors import FeatureSetError, HarnessError, WriterForked
from recorders.fields import FIELD_TYPES, FeatureSet, Field
from tests.support.recording import EVERY

TWICE = "name = 'a'\nversion = 1\n" + 2 * "[[fields]]\nname='x'\ntype='bool'\n"
TOML = """
name = "fraud"
version = 2

[[fields]]
name = "age"
type = "int64"

[[fields]]
name = "country"
type = "category"
role = "context"
"""


def test_toml_and_python_declare_the_same_set() -> None:
    declared = FeatureSet("fraud", 2, (Field("age", "int64"), Field("country", "category", "context")))
    assert FeatureSet.from_toml(TOML) == declared
    assert FeatureSet.from_toml(TOML).digest == declared.digest


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "fraud.toml"
    path.write_text(TOML)
    assert FeatureSet.from_toml(path) == FeatureSet.from_toml(str(path)) == FeatureSet.from_toml(TOML)


@pytest.mark.parametrize("feature_set", [EVERY, FeatureSet.from_toml(TOML)])
def test_every_form_gives_the_set_back(feature_set: FeatureSet) -> None:
    assert FeatureSet.from_toml(feature_set.to_toml()) == feature_set
    assert FeatureSet.from_json(feature_set.canonical()) == feature_set
    assert msgspec.json.decode(feature_set.canonical(), type=FeatureSet) == feature_set


def test_the_digest_is_that_of_another_set_when_order_type_role_or_version_differ() -> None:
    age, amount = Field("age", "int64"), Field("amount", "float64")
    sets = [
        FeatureSet("a", 1, (age, amount)),
        FeatureSet("a", 1, (amount, age)),
        FeatureSet("a", 2, (age, amount)),
        FeatureSet("b", 1, (age, amount)),
        FeatureSet("a", 1, (Field("age", "float64"), amount)),
        FeatureSet("a", 1, (Field("age", "int64", "context"), amount)),
    ]
    assert all(a.digest != b.digest for a, b in itertools.combinations(sets, 2))


def test_the_digest_once_published_never_changes() -> None:
    assert EVERY.digest == "db9c661b2c42a831903be1e500c1dfe572ff979f3c77d1222d60041d52147df7"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("name = 'a'\nversions = 1\nfields = []", "'versions'. Expected one of name, version, fields. Did"),
        ("name = 'a'\nfields = []", "has no 'version'"),
        ("name = 'a'\nversion = 1\nfields = []", "0 fields"),
        ("name = 'a'\nversion = 0\n[[fields]]\nname='x'\ntype='bool'", "version 0"),
        ("name = 'a'\nversion = true\n[[fields]]\nname='x'\ntype='bool'", "version True"),
        ("name = 'a'\nversion = 1\n[[fields]]\nname='x'\ntype='flaot64'", "Did you mean 'float64'?"),
        ("name = 'a'\nversion = 1\n[[fields]]\nname='x'\ntype='bool'\nrole='label'", "role 'label'"),
        ("name = 'a'\nversion = 1\n[[fields]]\nname='x'\ntyp='bool'", "Did you mean 'type'?"),
        ("name = 'a'\nversion = 1\n[[fields]]\nname='x y'\ntype='bool'", "name 'x y' cannot be used"),
        ("name = ''\nversion = 1\n[[fields]]\nname='x'\ntype='bool'", "name '' cannot be used"),
        ("name = 'a'\nversion = 1\n[[fields]]\nname=7\ntype='bool'", "name 7 cannot be used"),
        (
            "name='a'\nversion=1\n[[fields]]\nname='x'\ntype='bool'\n[[fields]]\nname='x'\ntype='bool'",
            "twice",
        ),
        ("name = 'a'\nversion = 1\nfields = 'x'", "`fields` is a str"),
        ("name = 'a'\nversion = 1\nfields = ['x']", "Field 1 is a str"),
        ("name = \nversion = 1", "not TOML"),
    ],
)
def test_a_bad_declaration_is_refused_with_what_to_do(document: str, says: str) -> None:
    with pytest.raises(FeatureSetError) as caught:
        FeatureSet.from_toml(document)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2
    assert caught.value.remedy


def test_a_missing_file_and_bad_json_are_named() -> None:
    with pytest.raises(FeatureSetError, match=r"Cannot read nowhere\.toml"):
        FeatureSet.from_toml("nowhere.toml")
    with pytest.raises(FeatureSetError, match="not JSON"):
        FeatureSet.from_json(b"{")


def test_a_set_has_at_most_256_fields() -> None:
    fields = tuple(Field(f"f{i}", "bool") for i in range(257))
    assert len(FeatureSet("a", 1, fields[:256]).fields) == 256
    with pytest.raises(FeatureSetError, match="257 fields"):
        FeatureSet("a", 1, fields)


def test_every_type_of_the_design_can_be_declared() -> None:
    assert {field.type for field in EVERY.fields} == set(FIELD_TYPES)


def test_errors_survive_a_process_pool() -> None:
    import uuid

    error = WriterForked(uuid.UUID(int=7), 3, stored="a" * 64, sent="b" * 64)
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, HarnessError)
    assert (str(copy), copy.sequence, copy.exit_code) == (str(error), 3, 40)
