"""The settings and mappings in TOML that documents show are ones that load; deployments included."""

import re
import tomllib
from pathlib import Path

from recorders.doors.mapping import Mapping
from recorders.sidecar.settings import load

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```toml\n(.*?)^```", (ROOT / "docs" / "doors.md").read_text(), re.MULTILINE | re.DOTALL
)
FEATURES = 'name = "iris"\nversion = 1\nfields = [{ name = "sepal_length", type = "float64" }]\n'


def shown(words: str) -> str:
    (block,) = [block for block in BLOCKS if words in block]
    return block


def test_every_block_is_of_one_of_the_kinds_that_are_tried_here() -> None:
    kinds = [
        {"doors"},
        {"source", "decision_point", "match", "feature_set", "decision", "fields"},
        {"outcome"},
    ]
    assert [set(tomllib.loads(block)) for block in BLOCKS] == kinds


def test_the_settings_of_the_doors_load(tmp_path: Path) -> None:
    (tmp_path / "sidecar.toml").write_text(shown("[doors]"))
    doors = load(tmp_path / "sidecar.toml", {}).doors
    assert doors.mappings == (str(tmp_path / "iris.toml"), str(tmp_path / "fraud.toml"))


def test_the_mappings_of_kserve_and_seldon_load(tmp_path: Path) -> None:
    (tmp_path / "iris.features.toml").write_text(FEATURES)
    mapping = shown('source = "kserve"')
    (tmp_path / "iris.toml").write_text(mapping)
    assert Mapping.from_toml(tmp_path / "iris.toml").source == "kserve"
    (tmp_path / "fraud.toml").write_text(mapping.replace("kserve", "seldon") + shown("[outcome]"))
    assert set(Mapping.from_toml(tmp_path / "fraud.toml").outcome) >= {"label", "value"}
