"""What a challenger holds with all that it started: exact for a few processes, the least for a crowd."""

import subprocess
import sys

import pytest

from replay.isolation import resident

MB = 2**20
INHERITED, OWN = 64, 4
# Says that it is ready when all its children have their own memory; they and it end with its input.
FAMILY = f"""
import os, sys
inherited = bytearray(os.urandom({MB})) * {INHERITED}
read, write = os.pipe()
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        own = bytearray(os.urandom({MB})) * {OWN}
        os.write(write, b"x")
        sys.stdin.read()
        os._exit(0)
ready = b""
while len(ready) < int(sys.argv[1]):
    ready += os.read(read, 100)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def family():
    begun = []

    def begin(children):
        command = [sys.executable, "-c", FAMILY, str(children)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout.readline() == "ready\n"
        return process.pid

    yield begin
    for process in begun:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("children", [3, 40])
def test_what_is_shared_counts_once(family, children):
    first = family(children)
    held = resident.held_bytes(first)
    assert resident.resident_bytes(first) > children * (INHERITED + OWN) * MB
    assert children * OWN * MB <= held <= (2 * INHERITED + 2 * children * OWN) * MB


def test_of_a_crowd_the_system_is_not_asked_what_it_shares(family, monkeypatch):
    monkeypatch.setattr(resident, "_share", None)  # each takes the system milliseconds, and they are hundreds
    assert resident.held_bytes(family(40)) >= 40 * OWN * MB
