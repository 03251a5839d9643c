"""What people are asked, in which order, and what becomes of their answers."""

from dataclasses import replace

import pytest
from labeller_examples import RUN, answers, ask, fill

from repro.preferences.labelling import REPEAT_DISTANCE, Labelling, Stale, check_annotator, labels_per_hour
from repro.preferences.store import PreferenceStore
from repro.reading import UserError


@pytest.fixture
def store(tmp_path):
    with PreferenceStore(fill(tmp_path / "preferences.db", 40), "dot") as store:
        yield store


def answer_all(labelling, annotator, count, choose=lambda pair: "left"):
    """Answer so many of what comes; returns the pairs."""
    pairs = []
    for _ in range(count):
        (pair,) = labelling.pairs(annotator, 1)
        labelling.answer(annotator, pair, choose(pair), 1.0, 500)
        pairs.append(pair)
    return pairs


def test_comparisons_come_in_order_and_not_twice(store):
    labelling = Labelling(store, RUN)
    assert [pair.key for pair in labelling.pairs("anna", 3)] == ["0", "1", "2"]
    assert [pair.key for pair in labelling.pairs("anna", 2, held=["0", "2"])] == ["1", "3"]
    assert [pair.number for pair in answer_all(labelling, "anna", 40)] == list(range(40))
    assert labelling.pairs("anna", 3) == []
    assert len(store.labelled(RUN)) == 40


def test_two_annotators_are_not_given_the_same_at_once(store, monkeypatch):
    labelling = Labelling(store, RUN)
    assert [pair.number for pair in labelling.pairs("anna", 3)] == [0, 1, 2]
    assert [pair.number for pair in labelling.pairs("bob", 3)] == [3, 4, 5]
    monkeypatch.setattr("repro.preferences.labelling.HELD_SECONDS", -1.0)  # anna has gone home
    assert [pair.number for pair in labelling.pairs("bob", 2, held=["3"])] == [0, 1]


def test_an_answer_sent_twice_is_stored_once(store):
    labelling = Labelling(store, RUN)
    (pair,) = labelling.pairs("anna", 1)
    for _ in range(2):
        labelling.answer("anna", pair, "left", 1.0, 500)
    with pytest.raises(Stale, match="anna has changed comparison 0 elsewhere"):
        labelling.answer("anna", pair, "right", 1.0, 500)
    labelling.answer("anna", labelling.last("anna"), "undo", None, 500)
    with pytest.raises(Stale):  # the first answer once more, delayed on its way
        labelling.answer("anna", pair, "left", 1.0, 500)
    assert answers(store.path) == [("", 0, "left", "anna"), ("", 0, "undo", "anna")]


def test_what_was_undone_is_asked_again_and_counts_once(store):
    labelling = Labelling(store, RUN)
    answer_all(labelling, "anna", 3)
    last = labelling.last("anna")
    assert (last.number, last.version) == (2, 1)
    for _ in range(2):  # the second is the first once more
        labelling.answer("anna", last, "undo", None, 500)
    assert labelling.last("anna").number == 1
    assert labelling.progress("anna") | {"per_hour": None} == {
        "labels": 2, "waiting": 38, "mine": 2, "per_hour": None, "repeated": 0, "consistent": 0,
    }  # fmt: skip
    (again,) = labelling.pairs("anna", 1)
    assert (again.number, again.version) == (2, 2)
    labelling.answer("anna", again, "tie", 1.0, 500)
    assert [(label.number, label.preference) for label in store.labelled(RUN)] == [(0, 1.0), (1, 1.0), (2, 0.5)]


def test_other_clips_than_those_shown_are_not_labelled(store):
    labelling = Labelling(store, RUN)
    (pair,) = labelling.pairs("anna", 1)
    with pytest.raises(Stale, match="of other clips than those shown"):
        labelling.answer("anna", replace(pair, left=pair.right), "left", 1.0, 500)
    for key in ("40", "x", "", "99999999999999999999", "٣"):
        with pytest.raises(Stale, match="there is no comparison"):
            labelling.pair(key, "anna")
    assert answers(store.path) == []


def test_repeats_are_exchanged_pairs_of_before_and_no_new_labels(store):
    labelling = Labelling(store, RUN, repeats=0.5, seed=1)
    first, repeated = {}, {}

    def choose(pair):
        if not pair.repeated:
            first[pair.number] = pair
            return "left"
        assert pair.number not in repeated and pair.number <= max(first) - REPEAT_DISTANCE
        assert (pair.left, pair.right) == (first[pair.number].right, first[pair.number].left)
        repeated[pair.number] = pair
        return "right" if len(repeated) % 3 else "left"  # the same clip, but for every third

    answer_all(labelling, "anna", 40, choose)
    assert len(repeated) >= 9 and len(first) + len(repeated) == 40
    progress = labelling.progress("anna")
    assert (progress["labels"], progress["waiting"]) == (len(first), 40 - len(first))
    assert (progress["repeated"], progress["consistent"]) == (len(repeated), len(repeated) - len(repeated) // 3)
    assert [label.number for label in store.labelled(RUN)] == sorted(first)  # what the trainer learns from
    assert store.query_count(RUN) == 40


def shown(path, repeats, count, ahead=1, left=0, seed=1):
    """The keys of what a page shows, one after the other.

    ahead: comparisons that it has at hand; it asks for others once only `left` of them are.
    """
    keys, at_hand = [], []
    with PreferenceStore(path) as store, store.transaction():
        labelling = Labelling(store, RUN, repeats, seed)
        while len(keys) < count:
            if len(at_hand) <= left:
                at_hand += labelling.pairs("anna", ahead - len(at_hand), [pair.key for pair in at_hand])
            labelling.answer("anna", at_hand[0], "left", 1.0, 500)
            keys.append(at_hand.pop(0).key)
    return keys


@pytest.mark.parametrize(("ahead", "left"), [(1, 0), (3, 0), (3, 2)])  # the last is what the page does
@pytest.mark.parametrize("repeats", [0.1, 0.4])
def test_the_share_of_what_is_shown_that_was_asked_before_is_as_told(tmp_path, repeats, ahead, left):
    keys = shown(ask(tmp_path / "preferences.db", 400), repeats, 400, ahead, left)
    assert len(set(keys)) == 400  # neither a comparison nor its repeat comes twice
    assert sum(key.endswith("r") for key in keys) / 400 == pytest.approx(repeats, rel=1 / 8)


def test_at_most_half_of_what_is_shown_was_asked_before(tmp_path):
    keys = shown(ask(tmp_path / "preferences.db", 400), 0.5, 400)
    assert 0.45 < sum(key.endswith("r") for key in keys) / 400 <= 0.5


def test_the_seed_says_what_is_asked_again(tmp_path):
    one, same, other = (
        shown(ask(tmp_path / f"{place}.db", 80), 0.4, 80, seed=seed) for place, seed in enumerate((1, 1, 2))
    )
    assert one == same != other


def test_where_nothing_new_is_left_nothing_is_asked_again(store):
    """A page that waits for more looks again and again: each look would draw another repeat."""
    labelling = Labelling(store, RUN, repeats=0.5, seed=1)
    while store.waiting():
        (pair,) = labelling.pairs("anna", 1)
        labelling.answer("anna", pair, "left", 1.0, 500)
    assert [labelling.pairs("anna", 3) for _ in range(20)] == [[]] * 20


def test_a_repeat_can_be_undone(store):
    labelling = Labelling(store, RUN, repeats=0.5, seed=1)
    while not (pair := labelling.pairs("anna", 1)[0]).repeated:
        labelling.answer("anna", pair, "left", 1.0, 500)
    labelling.answer("anna", pair, "left", 1.0, 500)
    assert labelling.progress("anna")["repeated"] == 1
    last = labelling.last("anna")
    assert last == replace(pair, version=1)
    labelling.answer("anna", last, "undo", None, 500)
    assert labelling.progress("anna")["repeated"] == 0
    labelling.answer("anna", labelling.pair(pair.key, "anna"), "right", 1.0, 500)
    assert labelling.progress("anna")["consistent"] == 1


def test_of_two_annotators_each_has_their_own(store):
    labelling = Labelling(store, RUN)
    answer_all(labelling, "anna", 2)
    answer_all(labelling, "bob", 3)
    assert [labelling.progress(name)["mine"] for name in ("anna", "bob", "carl")] == [2, 3, 0]
    assert labelling.progress("carl")["labels"] == 5 and labelling.last("carl") is None
    assert [row["number"] for row in labelling.given("bob", 10)] == [4, 3, 2]
    assert [row["number"] for row in labelling.given("bob", 1, before=labelling.given("bob", 1)[0]["id"])] == [3]


def test_the_rate_leaves_pauses_out():
    def times(*seconds):
        return [f"2026-11-21T13:{second // 60:02}:{second % 60:02}+00:00" for second in reversed(seconds)]

    assert labels_per_hour(times(0, 4, 8, 12)) == 900.0
    assert labels_per_hour(times(0, 4, 8, 1208, 1212, 1216)) == 900.0
    assert labels_per_hour(times(0, 4, 8)) is None and labels_per_hour([]) is None
    assert labels_per_hour(times(5, 5, 5, 5)) is None  # within a second: a rate cannot be told


@pytest.mark.parametrize("name", ["", "  ", "oracle", " oracle ", "a" * 41, "an\nna", "an\x00na"])
def test_names_that_will_not_do(name):
    with pytest.raises(UserError, match=r"^annotator: "):
        check_annotator(name)
    assert check_annotator(" Anna Ölmez ") == "Anna Ölmez"
