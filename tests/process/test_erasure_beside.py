"""Persons who are erased while sets are cut and while others erase: every set that holds them is named."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from harness.erasure import ERASED, erase
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.training.errors import ErasedMeanwhile
from harness.training.extend import extend_training_set
from harness.training.registry import list_training_sets
from harness.training.sets import Place, build_training_set
from harness.training.spec import LabelRule, Spec
from recorders.subject_keys import SubjectKeys
from tests.support.subjects import POINT, SECRET, SHOP, recorded


@pytest.fixture
def shop(fresh_log: Log, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("HARNESS_SUBJECT_SECRET", SECRET)
    for name in ("HARNESS_KEYS_URL", "HARNESS_SUBJECT_SECRET_OLD", "HARNESS_SUBJECT_WRAPPER"):
        monkeypatch.delenv(name, raising=False)
    SubjectKeys.from_environment(fresh_log.url).create()
    fresh_log.register_feature_set(SHOP)
    recorded(fresh_log, "ada", "bob", "ada")
    return fresh_log


def erased(log: Log, subject: str) -> ControlEvent:
    """Erase somebody as another process does."""
    with Log(log.url) as other:
        return erase(other, SubjectKeys.from_environment(log.url), subject)


class Once:
    """Does something when it is called first."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work: Callable[[], object] | None = work

    def __call__(self, *_: object) -> None:
        work, self._work = self._work, None
        if work is not None:
            work()


def spec(log: Log, *features: str) -> Spec:
    rule = LabelRule(name="bought", window=timedelta(hours=1))
    return Spec(
        decision_point=POINT, start=1, stop=log.head().position + 1, labels=(rule,), features=features or None
    )


def test_a_set_is_refused_in_whose_range_somebody_was_erased_while_it_was_cut(
    shop: Log, tmp_path: Path
) -> None:
    """It was registered after the receipt, which did not name it, with values of the erased in clear."""
    place = Place(tmp_path / "set")
    with pytest.raises(ErasedMeanwhile, match=r"at position \d+.*cuts a set without them") as caught:
        build_training_set(shop, spec(shop), place=place, progress=Once(lambda: erased(shop, "ada")))
    assert (caught.value.exit_code, list(tmp_path.iterdir())) == (1, [])
    (receipt,) = shop.controls(ERASED)
    assert (receipt.position, receipt.body["training_sets"]) == (caught.value.position, [])
    assert (caught.value.erasures, caught.value.columns) == (1, ("born", "customer", "income", "note"))
    assert list_training_sets(shop) == []
    made = build_training_set(shop, spec(shop), place=place)
    assert made.to_arrow().column("customer").to_pylist() == [None, "bob", None]
    assert made.verify(shop)["holds"]


def test_where_erasures_do_not_end_it_says_what_to_do_and_that_is_so(shop: Log, tmp_path: Path) -> None:
    recorded(shop, "cleo", "dora")
    people = iter(["ada", "bob", "cleo", "dora"])
    told = r"the first of 2 .*let erasures wait.*shorter ranges, or leave out born, customer, income, note:"
    for _ in range(2):
        with pytest.raises(ErasedMeanwhile, match=told):
            build_training_set(
                shop,
                spec(shop),
                place=Place(tmp_path / "set"),
                progress=Once(lambda: [erased(shop, next(people)) for _ in range(2)]),
            )
    recorded(shop, "eve")
    without = spec(shop, "amount", "country")
    place = Place(tmp_path / "without")
    made = build_training_set(shop, without, place=place, progress=Once(lambda: erased(shop, "eve")))
    assert made.manifest["rows"] == made.to_arrow().num_rows > 0


def test_a_set_is_cut_beside_an_erasure_that_does_not_touch_it(shop: Log, tmp_path: Path) -> None:
    recorded(shop, "cleo")
    plain = spec(shop, "amount", "country")
    made = build_training_set(
        shop, plain, place=Place(tmp_path / "plain"), progress=Once(lambda: erased(shop, "ada"))
    )
    assert made.verify(shop)["holds"]
    (end,) = {receipt.body["decision_points"][POINT]["last"] for receipt in shop.controls(ERASED)}
    recorded(shop, "dora")
    first = end + 1
    while next(shop.read(first, first + 1, kind="decision"), None) is None:
        first += 1
    later = Spec(**{**{name: getattr(spec(shop), name) for name in Spec.__struct_fields__}, "start": first})
    made = build_training_set(
        shop, later, place=Place(tmp_path / "later"), progress=Once(lambda: erased(shop, "bob"))
    )
    assert made.to_arrow().column("customer").to_pylist() == ["cleo", "dora"]


def test_a_longer_set_is_refused_likewise(shop: Log, tmp_path: Path) -> None:
    made = build_training_set(shop, spec(shop), place=Place(tmp_path / "set"))
    recorded(shop, "cleo", "bob")
    longer = Place(tmp_path / "longer")
    with pytest.raises(ErasedMeanwhile):
        extend_training_set(shop, made.folder, place=longer, progress=Once(lambda: erased(shop, "bob")))
    assert [one.subject for one in list_training_sets(shop)] == [made.id]
    assert not (tmp_path / "longer").exists()
    again, _reused = extend_training_set(shop, made.folder, place=longer)
    assert again.to_arrow().column("customer").to_pylist() == ["ada", None, "ada", "cleo", None]


@pytest.mark.parametrize("when", ["while it searched", "before the receipt"])
def test_a_set_that_was_registered_while_somebody_was_erased_is_named(
    shop: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It holds them, and was listed by nobody: the receipt named what was there when the search began."""
    ids: list[str] = []

    def cut() -> None:
        with Log(shop.url) as other:
            ids.append(build_training_set(other, spec(other), place=Place(tmp_path / "set")).id)

    def registered() -> None:
        with Log(shop.url) as other:  # as if by a build that had looked for receipts a moment before
            body = {"cut": {"decision_point": POINT, "start": 1, "stop": 9}}
            ids.append(other.control("training_set.created", "ts-beside", body).subject)

    class Keys(SubjectKeys):
        def destroy(self, identifiers: Iterable[bytes]) -> int:
            if when == "while it searched":
                cut()
            return super().destroy(identifiers)

    keys = Keys(shop.url, list(SubjectKeys.from_environment(shop.url)._wrapping.values()))
    if when == "before the receipt":
        control, first = Log.control, Once(registered)

        def said(log: Log, type_: str, *given: object, **named: object) -> ControlEvent:
            if type_ == ERASED:
                first()
            return control(log, type_, *given, **named)  # type: ignore[arg-type]  # handed on

        monkeypatch.setattr(Log, "control", said)
    receipt = erase(shop, keys, "ada")
    assert receipt.body["training_sets"] == ids
    assert len(ids) == 1
    assert shop.controls(ERASED)[-1] == receipt
    assert erase(shop, keys, "ada") == receipt


def test_events_that_came_while_it_searched_are_counted(shop: Log) -> None:
    keys = SubjectKeys.from_environment(shop.url)
    receipt = erase(shop, keys, "ada", Once(lambda: recorded(shop, "ada", "bob", "ada", "ada")))
    assert receipt.body["rows"] == 5
    assert receipt.body["decision_points"][POINT]["rows"] == 5


def test_two_who_erase_the_same_person_have_one_receipt(shop: Log) -> None:
    others: list[ControlEvent] = []

    def second() -> None:
        recorded(shop, "bob")  # so that theirs is not the same
        others.append(erased(shop, "ada"))

    class Keys(SubjectKeys):
        def destroy(self, identifiers: Iterable[bytes]) -> int:
            found = super().destroy(identifiers)
            with Log(shop.url) as other:
                body = {"cut": {"decision_point": POINT, "start": 1, "stop": 9}}
                second()
                other.control("training_set.created", "ts-after", body)
            return found

    keys = Keys(shop.url, list(SubjectKeys.from_environment(shop.url)._wrapping.values()))
    assert erase(shop, keys, "ada") == others[0]
    assert shop.controls(ERASED) == others


def test_a_receipt_that_was_left_short_by_a_kill_is_completed_by_the_next_erasure(
    shop: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its receipt, before it looked once more: the next erasure answered the short receipt."""
    control, killed = Log.control, OSError("killed here")

    def said(log: Log, type_: str, *given: object, **named: object) -> ControlEvent:
        if type_ == ERASED and str(named["key"]).endswith(":whole"):
            raise killed
        if type_ == ERASED:  # as if by builds that had looked for receipts a moment before
            for name, span in (("ts-beside", (1, 9)), ("ts-after", (900, 999))):
                body = {"cut": {"decision_point": POINT, "start": span[0], "stop": span[1]}}
                control(log, "training_set.created", name, body)
        return control(log, type_, *given, **named)  # type: ignore[arg-type]  # handed on

    with monkeypatch.context() as patched:
        patched.setattr(Log, "control", said)
        with pytest.raises(OSError, match="killed here"):
            erased(shop, "ada")
    (short,) = shop.controls(ERASED)
    assert short.body["training_sets"] == []
    whole = erased(shop, "ada")
    assert whole.body == {**short.body, "training_sets": ["ts-beside"]}
    assert erased(shop, "ada").position == whole.position
    assert [one.position for one in shop.controls(ERASED)] == [short.position, whole.position]
