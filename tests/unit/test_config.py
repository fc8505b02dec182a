from pathlib import Path

import pytest

from harness.config import Config, plain_url, shown_url
from harness.errors import ConfigError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_DATABASE_URL", raising=False)


def test_without_anything_the_database_is_embedded(tmp_path: Path) -> None:
    assert Config.load(tmp_path) == Config(tmp_path, None, "server", {})


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harness.toml").write_text(
        '[database]\nurl = "postgres://file/log"\n[log]\nclock = "event"\n'
    )
    assert Config.load(tmp_path).url == "postgresql://file/log"
    monkeypatch.setenv("HARNESS_DATABASE_URL", "postgresql+psycopg://environment/log")
    found = Config.load(tmp_path)
    assert (found.url, found.clock) == ("postgresql://environment/log", "event")


WRONG = [
    ("[database]\nurll = 'x'\n", 'Did you mean "url"'),
    ("[databse]\nurl = 'x'\n", 'Did you mean "database"'),
    ("[log]\nclock = 'mine'\n", 'Expected "server" or "event"'),
    ("log = 1\n", r"Expected a table \[log\]"),
    ("[log\n", "Expected TOML"),
    ("[database]\nurl = 'mysql://x'\n", 'begins with "mysql"'),
    ("[database]\nurl = 'secret-without-a-scheme'\n", "Expected postgresql://"),
]


@pytest.mark.parametrize(("text", "remedy"), WRONG)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, text: str, remedy: str) -> None:
    (tmp_path / "harness.toml").write_text(text)
    with pytest.raises(ConfigError, match=remedy) as caught:
        Config.load(tmp_path)
    assert caught.value.exit_code == 2


URLS = [
    ("postgresql://ada:se:cret@db:5432/log", "postgresql://ada@db:5432/log"),
    ("postgresql://ada:s@cret@db/log?sslmode=require", "postgresql://ada@db/log?sslmode=require"),
    ("postgresql://db/log?password=secret&user=ada", "postgresql://db/log?user=ada"),
    ("postgresql://db/log?password=secret", "postgresql://db/log"),
    ("postgresql://postgres@/harness?host=%2Fa%2Fb", "postgresql://postgres@/harness?host=%2Fa%2Fb"),
]


@pytest.mark.parametrize(("url", "shown"), URLS)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert shown_url(plain_url(url)) == shown
