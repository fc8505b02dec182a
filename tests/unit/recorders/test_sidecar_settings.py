"""A sidecar's settings that cannot be are named, with what was meant."""

from pathlib import Path

import pytest

from recorders.sidecar.errors import SettingsError
from recorders.sidecar.settings import load


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("spol = 1", 'Did you mean "spool"?'),
        ("[spool]\nquota = 1", 'Did you mean "spool.quota_bytes"?'),
        ('[spool]\ndurability = "maybe"', "survives a power cut"),
        ('[door]\ntcp = "0.0.0.0:7071"', "HARNESS_SIDECAR_TOKEN"),
        ('[doors]\nhttp = "0.0.0.0:7080"', "HARNESS_SIDECAR_TOKEN"),
        ('[doors]\nhtp = ""', 'Did you mean "doors.http"?'),
        ('[door]\nsocket_mode = "0666"', 'Write "0660"'),
        ('[ops]\nhttp = "everywhere"', "host:port"),
        ('[ops]\nhttp = "127.0.0.1:99999"', 'ops.http is "127.0.0.1:99999"'),
        ('folder = ""', "folder is empty"),
        ('url = "postgresql://a:b@c/d"', "Set HARNESS_DATABASE_URL instead"),
        ("[ship]\nlinger_s = -1.0", "Expected"),
        ("[ship]\nlinger_s = inf", "Expected `float` <= 1"),  # its shipper ended in a traceback
        ("folder = [", "Correct the file"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "sidecar.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load(path, {})
    assert words in str(refused.value)
