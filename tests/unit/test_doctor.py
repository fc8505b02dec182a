import pytest

from harness.doctor import _version

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
