"""A sidecar that cannot listen names the setting in the way, and removes nothing that is not its own."""

import socket
import subprocess
from pathlib import Path

import pytest

from recorders.socket_link import SocketLink
from tests.support.sidecars import FEATURES, Running, decisions, new_writer

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


def refused(sidecar: Running) -> str:
    """Return what a sidecar says that ends at once, as one does whose settings cannot be."""
    done = subprocess.run(
        sidecar.command("run"), env=sidecar._environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("setting", ["door.tcp", "ops.http"])
def test_an_address_that_is_taken_is_named(tmp_path: Path, setting: str) -> None:
    section, key = setting.split(".")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused(Running(tmp_path / "s", NOWHERE, f'[{section}]\n{key} = "{address}"\n'))
    assert said.startswith(f"{setting} is {address}: ")
    assert said.endswith("Choose another port, or end what has it.\n")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("none/door.sock", "No such file"),
        ("kept", "no socket"),
        ("x" * 120, "too long"),
        ("live", "listens there"),
    ],
)
def test_a_socket_that_cannot_be_made_is_named_and_nothing_is_removed(
    tmp_path: Path, place: str, why: str
) -> None:
    (tmp_path / "kept").write_text("somebody's")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "live"))
        other.listen()
        said = refused(Running(tmp_path / "s", NOWHERE, f'[door]\nsocket = "{tmp_path / place}"\n'))
        assert said.startswith(f"door.socket is {tmp_path / place}: ")
        assert why in said
    assert (tmp_path / "kept").read_text() == "somebody's"
    assert (tmp_path / "live").is_socket()


def test_the_socket_of_one_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    door = tmp_path / "door.sock"
    with Running(tmp_path / "s", NOWHERE, f'[door]\nsocket = "{door}"\n') as sidecar:
        sidecar.kill()
        assert door.is_socket()
        sidecar.start()
        link = SocketLink(str(door), [FEATURES])
        assert link.send(decisions(new_writer(), 1)).position == 1
        link.close()
