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
    ("postgresql://db/log?password=s@cret&user=ada", "postgresql://db/log?user=ada"),
    (
        "postgresql://ada:x@db/log?sslpassword=s@cret&sslmode=require",
        "postgresql://ada@db/log?sslmode=require",
    ),
    ("postgresql://a:1,[::1]:2/log?pass%77ord=s", "postgresql://a:1,[::1]:2/log"),
    ("postgresql://ada:se?cret@db/log", "postgresql://..."),
    ("postgresql://db?password=s@cret", "postgresql://db"),
    ("postgresql://postgres@/harness?host=%2Fa%2Fb", "postgresql://postgres@/harness?host=%2Fa%2Fb"),
]


@pytest.mark.parametrize(("url", "shown"), URLS)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert shown_url(plain_url(url)) == shown


UNREADABLE = [
    "postgresql://ada:pa%zzword@db/log",
    "postgresql://db/log?foo=bar&password=pa%zzword",
    "ada:password@db/log",
    "password",
    "postgresql://ada:pa?ssword@db:x/log",
    "postgresql://ada:12/3?password@db/log",
]


@pytest.mark.parametrize("url", UNREADABLE)
def test_an_address_that_cannot_be_read_is_refused_and_its_password_not_quoted(url: str) -> None:
    try:
        said = plain_url(url)
    except ConfigError as error:
        said = str(error)
        assert "Expected postgresql://user:password@host/database" in said
        said = said.replace("user:password@host", "").replace("in a password", "")
    else:
        said = shown_url(said)
    for word in ("pa%zzword", "ssword", "password", "12"):
        assert word not in said


def test_an_address_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text("[database]\nurl = 3\n")
    with pytest.raises(ConfigError, match=r"database\.url is no text"):
        Config.load(tmp_path)


def test_the_section_that_nobody_reads_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text("[report]\n")
    with pytest.raises(ConfigError, match='"report"'):
        Config.load(tmp_path)
