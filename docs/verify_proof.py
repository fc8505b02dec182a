"""Check a proof that `harness log prove` wrote, with the standard library alone.

    python verify_proof.py 17.proof log.vkey    # or the key itself: 'harness.log/.../e1+1a2b3c4d+AQ...'

A second implementation, which shares no code with the first: an auditor can read all of it. It says what is
proven and exits 0, or what does not hold and exits 40, or what it cannot read and exits 2. The format is in
harness/integrity/proof.py; Ed25519 is RFC 8032, the tree RFC 9162, notes c2sp.org/signed-note, checkpoints
c2sp.org/tlog-checkpoint.
"""

import base64
import hashlib
import struct
import sys
from pathlib import Path
from typing import NoReturn

# Ed25519: the curve -x^2 + y^2 = 1 + d x^2 y^2 over the integers modulo P, points as (X, Y, Z, XY/Z).
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


class Invalid(Exception):  # noqa: N818 - said as a word
    """The proof does not hold; the text says why."""


def fail(reason: str) -> NoReturn:
    """Say that the proof does not hold."""
    raise Invalid(reason)


def add(a: Point, b: Point) -> Point:
    """Return the sum of two points."""
    low, high = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = high - low, d - c, d + c, high + low
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar: int, point: Point) -> Point:
    """Return a point added to itself `scalar` times."""
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def decompress(data: bytes) -> Point:
    """Return the point that 32 bytes stand for."""
    encoded = int.from_bytes(data, "little")
    y, sign = encoded & (2**255 - 1), encoded >> 255
    if len(data) != 32 or y >= P:
        fail("a point is not on the curve")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x * ROOT_OF_MINUS_ONE % P if (x * x - square) % P else x
    if (x * x - square) % P or (x == 0 and sign):
        fail("a point is not on the curve")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` is that of `message` by the holder of the private key of `public`."""
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= ORDER:
        return False
    left = times(int.from_bytes(signature[32:], "little"), BASE)
    scalar = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    right = add(decompress(signature[:32]), times(scalar, decompress(public)))
    return all((left[k] * right[2] - right[k] * left[2]) % P == 0 for k in (0, 1))


def root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that a path of hashes leads to from a leaf."""
    if not 0 <= index < size:
        fail("it is of no leaf of the tree")
    found, last = leaf, size - 1
    for beside in path:
        if last == 0:
            fail("its path is too long")
        if index & 1 or index == last:
            found = hashlib.sha256(b"\x01" + beside + found).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + beside).digest()
        index, last = index >> 1, last >> 1
    return fail("its path is too short") if last else found


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def public_key(text: str) -> tuple[str, bytes, bytes]:
    """Return the name, the id and the bytes of a public key that is written as name+id+key."""
    name, identifier, encoded = (*text.strip().split("+", 2), "", "")[:3]
    data = base64.b64decode(encoded, validate=True)
    expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    if len(data) != 33 or data[0] != 1 or identifier != expected.hex():
        fail("the public key is none: expected what `harness log key show` prints, or a file of it")
    return name, expected, data[1:]


def checkpoint(note: bytes, key: str) -> tuple[str, int, bytes]:
    """Return origin, size and root of the checkpoint in a note that `key` has signed."""
    name, identifier, public = public_key(key)
    text, _, below = note.decode().rpartition("\n\n")
    text += "\n"
    for line in below.splitlines():
        dash, signer, encoded = line.split(" ")
        data = base64.b64decode(encoded, validate=True)
        if base64.b64encode(data).decode() != encoded:
            fail("a signature is not in canonical base64")
        if dash == "\N{EM DASH}" and signer == name and data[:4] == identifier:
            if not signed(public, text.encode(), data[4:]):
                fail("the checkpoint's signature is not genuine")
            origin, size, top = text.split("\n")[:3]
            if origin != name:
                fail("the checkpoint is of another log")
            return origin, int(size), base64.b64decode(top, validate=True)
    return fail("the checkpoint is not signed with this key")


def check(proof: bytes, key: str) -> str:
    """Return in a sentence what `proof` proves under the public key `key`; raise Invalid if it is nothing."""
    at, compact = 16, proof.startswith(b"harness.proof/2\n")

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        return proof[at - size : at] if at <= len(proof) else fail("it ends early")

    def number() -> int:
        value, shift, byte = 0, 0, 128
        while byte >= 128 and shift < 63:
            byte = take(1)[0]
            value, shift = value | (byte & 127) << shift, shift + 7
        return value if byte < 128 and (byte or shift == 7) else fail("a number is not in its shortest form")

    if compact:
        signature = take(68)
        size, end, batch, event, events, position = (number() for _ in range(6))
        name = take(number())
    elif not proof.startswith(b"harness.proof/1\n"):
        fail("it does not begin as one")
    else:
        origin, size, top = checkpoint(take(int.from_bytes(take(2), "big")), key)
        batch, event, events, position = struct.unpack(">QIIQ", take(24))
        name = take(int.from_bytes(take(2), "big"))
    row, chain = take(32), take(32)
    inner, outer = ([take(32) for _ in range(take(1)[0])] for _ in range(2))
    if at != len(proof):
        fail("something follows it")
    leaf = leaf_hash(struct.pack(">QI", position, len(name)) + name + row)
    counted = chain + events.to_bytes(4, "big") + root(leaf, event, events, inner)
    found = root(leaf_hash(counted), batch, size, outer)
    if compact:  # the text that was signed, from what the proof leads to
        origin, line = public_key(key)[0], base64.b64encode(signature).decode()
        text = f"{origin}\n{size}\n{base64.b64encode(found).decode()}\nposition {end}\n"
        origin, size, top = checkpoint(f"{text}\n\N{EM DASH} {origin} {line}\n".encode(), key)
    if found != top:
        fail("it does not lead to the root that was signed")
    return (
        f"{name.decode()} is at position {position} of {origin}, under its checkpoint of {size} batches.\n"
        f"The digest of its row is {row.hex()}: `harness log check-proof --row` compares values with it."
    )


def main(arguments: list[str]) -> int:
    """Check the proof that the command line names, and return the exit code."""
    if len(arguments) != 2:
        print(__doc__)
        return 2
    try:
        proof, file = Path(arguments[0]).read_bytes(), Path(arguments[1])
        key = file.read_text(encoding="utf-8") if file.is_file() else arguments[1]
        public_key(key)
    except (Invalid, OSError, ValueError) as reason:
        print(f"Nothing was checked: {reason}.", file=sys.stderr)
        return 2
    try:
        print(check(proof, key))
    except (Invalid, ValueError) as reason:
        print(f"The proof does not hold: {reason}.", file=sys.stderr)
        return 40
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
