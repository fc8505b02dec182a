"""What a pickle would import is told within bounds, whatever it says of its memo."""

import pickle
import struct
import tracemalloc

from replay.adapters.pickled import imported_names


def test_a_memo_is_as_long_as_what_was_put_there() -> None:
    far = b"\x80\x02Nr" + struct.pack("<I", 2**24) + b"cos\nsystem\n(tR."
    tracemalloc.start()
    try:
        assert imported_names(far) == ["os.system"]
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_what_was_put_there_is_found_again() -> None:
    class_by_memo = b"\x80\x04\x8c\x02osr" + struct.pack("<I", 2**31) + b"\x8c\x06systemj"
    swapped = class_by_memo + struct.pack("<I", 2**31) + b"\x8c\x04name\x93."
    assert imported_names(swapped) == ["os.name"]
    assert imported_names(pickle.dumps(range)) == ["builtins.range"]
