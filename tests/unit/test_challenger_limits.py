"""Limits of challengers: where they are said, and what is no limit."""

import pytest

from harness.challengers import limits_of
from harness.errors import ConfigError


def test_limits_come_from_the_file_and_a_given_one_wins(tmp_path):
    (tmp_path / "harness.toml").write_text("[challengers]\ntimeout_s = 2.5\nmemory_mb = 700\n")
    limits = limits_of(tmp_path, memory=900)
    assert (limits.timeout_s, limits.memory_mb, limits.threads) == (2.5, 900, 1)
    with pytest.raises(ConfigError, match=r"timeout_s = 0\.0 is no limit .* Correct it where it was given"):
        limits_of(tmp_path, timeout=0.0)
    (tmp_path / "harness.toml").write_text("[challengers]\nopen_timeout_s = nan\n")
    with pytest.raises(
        ConfigError, match=r"open_timeout_s = nan is no limit .* Correct it in \[challengers\] of"
    ):
        limits_of(tmp_path)
    (tmp_path / "harness.toml").write_text("[challengers]\ntimeout_s = 'long'\n")
    with pytest.raises(ConfigError, match="timeout_s"):
        limits_of(tmp_path)
