from importlib import metadata
from pathlib import Path

import pytest

from harness.doctor import _names, _version

VERSIONS = [
    (130_020, "failed", "Upgrade to PostgreSQL 14"),
    (140_022, "failed", "14.23 or newer"),
    (140_023, "ok", ""),
    (160_014, "ok", ""),
    (180_003, "failed", "18.4 or newer"),
    (180_004, "warning", "18.6 closes CVE-2026-16239"),
    (180_006, "ok", ""),
    (190_000, "ok", ""),
]


@pytest.mark.parametrize(("number", "state", "remedy"), VERSIONS)
def test_a_server_is_judged_by_its_minor_version(number: int, state: str, remedy: str) -> None:
    found = _version(number)
    assert found.state == state
    assert remedy in found.remedy


def installed(folder: Path, name: str, version: str) -> None:
    """Write down a distribution as pip does, with `recorders` for its one top-level name."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    (info / "top_level.txt").write_text("recorders\n")


@pytest.mark.parametrize(
    ("name", "version", "state", "found"),
    [
        ("shadow-harness-recorder", metadata.version("shadow-harness"), "ok", "also installed by"),
        ("shadow-harness-recorder", "0.0.1", "failed", "by shadow-harness-recorder 0.0.1"),
        ("recorders", "1.0", "failed", "also installed by recorders"),
    ],
)
def test_the_recorders_own_distribution_may_stand_beside_in_the_same_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str, state: str, found: str
) -> None:
    installed(tmp_path, name, version)
    monkeypatch.syspath_prepend(tmp_path)
    check = next(check for check in _names() if check.name == "recorders")
    assert check.state == state
    assert found in check.found
    assert bool(check.remedy) == (state == "failed")
