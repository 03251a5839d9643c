"""What a new page takes from those before it: the open output, what does not add up, unfinished runs."""

import pytest
from worklog_examples import MONDAY, TUESDAY, WEDNESDAY, archived, ended, ids, record, region, rows, write_output

from repro.reading import UserError
from repro.worklog import entries, pages


def output(path) -> str:
    """What stands in log 1, but for the hours."""
    return path.read_text().split("## 1 Output I am working on\n")[1].split("<!-- hours:start")[0].strip()


def test_the_open_output_is_marked_once_with_where_it_is_from(tmp_path):
    monday = entries.open_page(tmp_path, MONDAY)
    write_output(monday, "A curve | of *true* return,\n\n- [ ] over three seeds\n  of them")
    entries.add_hours(tmp_path, 2, "debugging", "yesterday's", MONDAY)
    before = monday.read_bytes()
    tuesday = entries.open_page(tmp_path, TUESDAY)
    wednesday = entries.open_page(tmp_path, WEDNESDAY)
    expected = "*Carried over from 2026-11-23.*\n\nA curve | of *true* return,\n\n- [ ] over three seeds\n  of them"
    assert output(tuesday) == output(wednesday) == expected
    assert region(tuesday, "hours") == []
    assert monday.read_bytes() == before


@pytest.mark.parametrize(
    "text, carried",
    [
        ("", ""),
        (" \n\n\t", ""),
        ("- [x] the curve,\n  over three seeds", ""),
        ("*Carried over from 2026-11-20.*\n\n- [X] the curve", ""),
        ("*Carried over from 2026-11-20.*", ""),
        ("- [x] the curve\n- [ ] the table", "*Carried over from 2026-11-23.*\n\n- [ ] the table"),
        ("new\n\n*Carried over from 2026-11-20.*\n\nold", "new\n\n*Carried over from 2026-11-20.*\n\nold"),
        ("Größe 🤖 <b>", "*Carried over from 2026-11-23.*\n\nGröße 🤖 <b>"),
    ],
)
def test_only_what_is_open_is_carried_over(tmp_path, text, carried):
    write_output(entries.open_page(tmp_path, MONDAY), text)
    assert output(entries.open_page(tmp_path, WEDNESDAY)) == carried


def test_a_page_with_windows_line_endings_is_carried_over(tmp_path):
    monday = entries.open_page(tmp_path, MONDAY)
    write_output(monday, "one\n\ntwo")
    entries.add_confusion(tmp_path, "odd", MONDAY)
    monday.write_bytes(monday.read_bytes().replace(b"\n", b"\r\n"))
    tuesday = entries.open_page(tmp_path, TUESDAY)
    assert output(tuesday) == "*Carried over from 2026-11-23.*\n\none\n\ntwo"
    assert region(tuesday, "confused") == ["- [ ] C1 (2026-11-23) odd"]
    assert b"\r" not in tuesday.read_bytes()


def test_unfinished_runs_move_and_what_does_not_add_up_stays_until_resolved(tmp_path):
    for run in ("a_1", "a_2"):
        entries.enter_run(tmp_path, archived(tmp_path, record(run)), MONDAY)
    for text in ("one", "two", "three"):
        entries.add_confusion(tmp_path, text, MONDAY)
    monday = pages.page_path(tmp_path, MONDAY)
    monday.write_text(monday.read_text().replace("- [ ] C2", "- [x] C2"))  # by hand
    entries.enter_result(tmp_path, archived(tmp_path, ended("a_1")), MONDAY)
    tuesday = entries.open_page(tmp_path, TUESDAY)
    assert (ids(monday, "runs"), ids(monday, "results"), ids(tuesday, "runs")) == ([], ["a_1"], ["a_2"])
    assert region(tuesday, "confused") == ["- [ ] C1 (2026-11-23) one", "- [ ] C3 (2026-11-23) three"]
    entries.resolve_confusion(tmp_path, "C1", "it was the clock", TUESDAY)
    assert region(entries.open_page(tmp_path, WEDNESDAY), "confused") == ["- [ ] C3 (2026-11-23) three"]
    assert region(monday, "confused")[0] == "- [ ] C1 (2026-11-23) one"  # as it was that day


@pytest.mark.parametrize(
    "damage, warned",
    [
        (lambda text: "", ["log 1", "rows of runs"]),
        (lambda text: text.replace("<!-- hours:end -->\n", ""), ["log 1"]),
        (lambda text: text.replace("<!-- runs:start -->\n", ""), ["rows of runs"]),
        (lambda text: text.replace("<!-- confused:start -->\n", ""), []),
    ],
)
def test_a_damaged_last_page_does_not_block_the_new_one(tmp_path, capsys, damage, warned):
    monday = entries.open_page(tmp_path, MONDAY)
    write_output(monday, "a curve")
    entries.enter_run(tmp_path, archived(tmp_path, record("a_1")), MONDAY)
    entries.add_confusion(tmp_path, "odd", MONDAY)
    whole = monday.read_text()
    monday.write_text(damage(whole))
    damaged = monday.read_bytes()
    tuesday = entries.open_page(tmp_path, TUESDAY)
    warnings = capsys.readouterr().err.splitlines()
    assert [line.removeprefix("warning: ").split(" are ")[0].split(" is ")[0] for line in warnings] == warned
    assert all(str(monday) in line and "put it back once" in line for line in warnings)
    assert (output(tuesday) == "") == ("log 1" in warned)
    assert (ids(tuesday, "runs") == []) == ("rows of runs" in warned)
    assert region(tuesday, "confused") == ([] if damaged == b"" else ["- [ ] C1 (2026-11-23) odd"])
    if warned:
        assert monday.read_bytes() == damaged or "rows of runs" not in warned
        monday.write_text(whole)  # mended
        entries.open_page(tmp_path, TUESDAY)
        assert (ids(monday, "runs"), ids(tuesday, "runs")) == ([], ["a_1"])
    capsys.readouterr()
    entries.open_page(tmp_path, WEDNESDAY)
    assert capsys.readouterr().err == ""


def test_a_last_page_that_is_not_utf8_does_not_block_the_new_one(tmp_path, capsys):
    monday = entries.open_page(tmp_path, MONDAY)
    entries.add_confusion(tmp_path, "odd", MONDAY)
    monday.write_bytes(monday.read_bytes() + b"\xff")
    tuesday = entries.open_page(tmp_path, TUESDAY)
    assert [line.count("not UTF-8") for line in capsys.readouterr().err.splitlines()] == [1, 1]
    assert region(tuesday, "confused") == ["- [ ] C1 (2026-11-23) odd"]


def test_a_clock_that_went_back_carries_nothing_from_the_future_and_loses_nothing(tmp_path):
    monday = entries.open_page(tmp_path, MONDAY)
    write_output(monday, "from Monday")
    entries.add_confusion(tmp_path, "of Monday", MONDAY)
    wednesday = entries.open_page(tmp_path, WEDNESDAY)
    write_output(wednesday, "from Wednesday")
    entries.enter_run(tmp_path, archived(tmp_path, record("a_1")), WEDNESDAY)
    entries.add_confusion(tmp_path, "of Wednesday", WEDNESDAY)
    entries.resolve_confusion(tmp_path, "C1", "understood", WEDNESDAY)
    before = wednesday.read_bytes()
    tuesday = entries.open_page(tmp_path, TUESDAY)
    assert output(tuesday) == "*Carried over from 2026-11-23.*\n\nfrom Monday"
    assert (rows(tuesday, "runs"), region(tuesday, "confused")) == ([], [])  # C1 is resolved already
    assert entries.add_confusion(tmp_path, "of Tuesday", TUESDAY)[1].name == "C3"
    with pytest.raises(UserError, match="C1: was resolved on 2026-11-25"):
        entries.resolve_confusion(tmp_path, "C1", "again", TUESDAY)
    entries.enter_run(tmp_path, archived(tmp_path, record("a_2")), TUESDAY)
    assert wednesday.read_bytes() == before
    later = entries.open_page(tmp_path, WEDNESDAY.replace(day=26))
    assert ids(later, "runs") == ["a_2", "a_1"]
    assert [line[:8] for line in region(later, "confused")] == ["- [ ] C2", "- [ ] C3"]
