"""What is in examples/deploy is sound: unit, container file, manifest, settings; a slip in one is noticed."""

import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorders.sidecar.__main__ import VERBS
from recorders.sidecar.settings import load
from recorders.version import VERSION
from tests.support.manifests import Container, Pod, documents_of, known

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "examples" / "deploy"
MANIFEST = DEPLOY / "kubernetes.yaml"
UNIT = (DEPLOY / "harness-sidecar.service").read_text()
# What a start may take: it reads the spool, whose quota is 10 GiB, from a disk of 20 MiB/s.
START_S = 540
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")


def test_the_settings_to_deploy_load() -> None:
    assert load(DEPLOY / "sidecar.toml", {}).spool.durability == "power"


# Kubernetes.


def pod() -> Pod:
    _, workload = known(documents_of(MANIFEST))
    return workload.spec.template.spec


def sidecar() -> Container:
    (found,) = pod().init_containers
    return found


def test_the_manifest_is_sound() -> None:
    _, workload = known(documents_of(MANIFEST))
    assert sidecar().restart_policy == "Always"
    assert sidecar().security_context.read_only_root_filesystem
    volumes = {volume.name for volume in pod().volumes}
    volumes |= {claim.metadata.name for claim in workload.spec.volume_claim_templates}
    for container in (sidecar(), *pod().containers):
        assert {mount.name for mount in container.volume_mounts} <= volumes
        assert not container.security_context.allow_privilege_escalation
        assert container.security_context.capabilities.drop == ["ALL"]
        assert container.security_context.run_as_group == pod().security_context.fs_group
    assert workload.spec.selector.match_labels == workload.spec.template.metadata.labels
    assert sidecar().image == f"harness-sidecar:{VERSION}"


def test_the_service_waits_for_no_sidecar_and_a_long_start_is_no_death() -> None:
    """Thirty seconds of a start, and a spool of 10 GiB was never opened, nor did the service start."""
    probe = sidecar().liveness_probe
    assert probe is not None
    assert probe.period_seconds * probe.failure_threshold > START_S
    (raw,) = documents_of(MANIFEST)[1]["spec"]["template"]["spec"]["initContainers"]
    assert "startupProbe" not in raw
    assert probe.exec.command[:3] == ["python", "-m", "recorders.sidecar"]
    assert probe.exec.command[3] in VERBS


def test_the_settings_in_the_manifest_load_and_name_what_both_containers_mount(tmp_path: Path) -> None:
    settings, _ = known(documents_of(MANIFEST))
    path = tmp_path / "sidecar.toml"
    path.write_text(settings.data["sidecar.toml"])
    found = load(path, {})
    assert found.ops.http == "127.0.0.1:9464"
    for container in (sidecar(), *pod().containers):
        mounted = {mount.mount_path for mount in container.volume_mounts}
        assert {str(found.door_socket.parent), found.door.memory} <= mounted
    assert found.folder in {mount.mount_path for mount in sidecar().volume_mounts}


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where the keys are that Kubernetes gives a meaning to."""
    if isinstance(value, list):
        for number, part in enumerate(value):
            yield from places(part, (*at, number))
    elif isinstance(value, dict):
        for key, part in value.items():
            yield (*at, key)
            if key not in ("data", "labels", "matchLabels"):
                yield from places(part, (*at, key))


@pytest.mark.parametrize("place", list(places(documents_of(MANIFEST))), ids=lambda at: ".".join(map(str, at)))
def test_a_key_of_the_manifest_that_is_misspelled_is_noticed(place: tuple[Any, ...]) -> None:
    documents = copy.deepcopy(documents_of(MANIFEST))
    within = documents
    for step in place[:-1]:
        within = within[step]
    within[place[-1] + "s"] = within.pop(place[-1])
    with pytest.raises(msgspec.ValidationError):
        known(documents)


# systemd.


def verified(unit: str, folder: Path) -> str:
    """Return what systemd has to say of a unit, with a Python that is here."""
    path = folder / "harness-sidecar.service"
    path.write_text(unit.replace("/opt/harness-sidecar/bin/python", sys.executable))
    command = ["systemd-analyze", "verify", "--man=no", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return "\n".join(line for line in said.splitlines() if path.name in line)


@needs_systemd
def test_the_unit_is_sound(tmp_path: Path) -> None:
    assert verified(UNIT, tmp_path) == ""


@needs_systemd
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ProtectHome=", "ProtectHom="),
        ("Restart=on-failure", "Restart=on-failur"),
        ("SystemCallFilter=@system-service", "SystemCallFilter=@system"),
        ("UMask=0077", "UMask=private"),
        ("[Service]", "[Servic]"),
    ],
)
def test_a_slip_in_the_unit_is_noticed(right: str, wrong: str, tmp_path: Path) -> None:
    assert verified(UNIT.replace(right, wrong), tmp_path) != ""


@needs_systemd
def test_the_unit_is_exposed_to_little(tmp_path: Path) -> None:
    path = tmp_path / "harness-sidecar.service"
    path.write_text(UNIT)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze judges no files")
    assert done.returncode == 0, done.stdout[-200:]


def test_a_stop_of_the_unit_leaves_what_killed_services_kept_and_it_is_tried_for_ever() -> None:
    """The folder that crash_proof recorders were told to use went with each stop of the sidecar."""
    lines = UNIT.splitlines()
    assert "RuntimeDirectoryPreserve=yes" in lines
    assert "RemoveIPC=false" in lines
    assert "StartLimitIntervalSec=0" in lines
    (made,) = [shlex.split(line.partition("=+")[2]) for line in lines if line.startswith("ExecStartPre=")]
    assert made[0:4] == ["/usr/bin/install", "-d", "-m", "2770"]
    assert f'# memory = "{made[-1]}"' in (DEPLOY / "sidecar.toml").read_text()


# A container.


@pytest.mark.skipif(
    not shutil.which("useradd") or os.geteuid() != 0, reason="needs root and useradd: another system"
)
def test_the_container_file_makes_the_group_that_it_runs_as(tmp_path: Path) -> None:
    """It had another number, and services of the group that it runs as could not pass the socket's folder."""
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow", "login.defs"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), tmp_path / "etc")
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    for words in map(shlex.split, re.findall(r"(?:group|user)add [^&\n]*", text)):
        subprocess.run([words[0], "--prefix", str(tmp_path), *words[1:]], capture_output=True, check=True)
    users = (tmp_path / "etc" / "passwd").read_text()
    (made,) = re.findall(r"^sidecar:[^:]*:(\d+):(\d+):", users, re.MULTILINE)
    assert f"USER {':'.join(made)}" in text.splitlines()


def test_the_container_file_copies_what_exists_and_runs_unprivileged() -> None:
    lines = (DEPLOY / "Containerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from=" not in line]
    assert all((ROOT / name).exists() for names in copied for name in names)
    assert "USER 10001:10001" in lines
    assert lines.index("USER 10001:10001") < next(
        n for n, line in enumerate(lines) if line[:10] == "ENTRYPOINT"
    )
    for base in [line.split()[1] for line in lines if line.startswith("FROM ")]:
        assert ":" in base
        assert not base.endswith(":latest")
    assert not any(line.startswith(("ADD ", "ENTRYPOINT p", "CMD p")) for line in lines)
    assert f"-t harness-sidecar:{VERSION} " in lines[0]
