from harness.log.log import Log


def test_a_keyed_control_event_is_stored_once(fresh_log: Log) -> None:
    first = fresh_log.control("look.taken", "e", {"n": 1}, key="look:e:1")
    again = fresh_log.control("look.taken", "e", {"n": 1}, key="look:e:1")
    assert first == again == fresh_log.controls("look.*")[0]
    assert fresh_log.head().position == 1
    assert fresh_log.verify().holds
