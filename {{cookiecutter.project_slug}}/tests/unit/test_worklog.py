"""The pages of the work log: made once, a person's text kept byte for byte, damage reported, hostile text contained."""

import re
import subprocess
import sys
from datetime import date, datetime

import pytest
from worklog_examples import MONDAY, TUESDAY, WEDNESDAY, ended, outside, record, region, rows

from repro.reading import UserError
from repro.worklog import entries, pages


def test_a_new_page_has_the_four_logs_and_is_not_made_twice(tmp_path):
    path = entries.open_page(tmp_path, MONDAY)
    assert path == tmp_path / "worklog" / "2026-11-23.md"
    headings = [line for line in path.read_text().splitlines() if line.startswith("##")]
    assert headings == [
        "## 1 Output I am working on",
        "## 2 Thinking aloud",
        "## 3 Runs in progress and the question each answers",
        "## 4 Results, by environment",
    ]
    assert [region(path, name) for name in ("hours", "confused")] == [[], []]
    path.write_text(path.read_text() + "mine\n")
    entries.open_page(tmp_path, MONDAY)
    assert path.read_text().endswith("mine\n")
    (tmp_path / "other").mkdir()
    assert entries.open_page(tmp_path / "other").stem == str(date.today())


@pytest.mark.parametrize(
    "write",
    [
        lambda root, day: entries.open_page(root, day),
        lambda root, day: entries.add_note(root, "x", datetime(day.year, day.month, day.day)),
        lambda root, day: entries.add_hours(root, 1, "debugging", day=day),
        lambda root, day: entries.add_confusion(root, "x", day),
        lambda root, day: entries.resolve_confusion(root, "C1", "x", day),
        lambda root, day: entries.enter_run(root, record(), day),
        lambda root, day: entries.enter_result(root, ended(), day),
    ],
)
def test_nothing_is_written_behind_a_page_of_the_future(tmp_path, write):
    later, _ = entries.add_confusion(tmp_path, "odd", WEDNESDAY)
    before = later.read_bytes()
    with pytest.raises(
        UserError, match=f"{later}: this page is 2 days ahead of today, {MONDAY}; set the clock, or ren"
    ):
        write(tmp_path, MONDAY)
    assert later.read_bytes() == before and pages.list_pages(tmp_path) == [later]
    write(tmp_path, TUESDAY)  # it is Wednesday already in another time zone
    assert pages.list_pages(tmp_path) == [pages.page_path(tmp_path, TUESDAY), later]


def test_files_that_only_look_like_pages_are_none(tmp_path):
    page = entries.open_page(tmp_path, MONDAY)
    for name in ("2026-13-01.md", "2026-ab-cd.md", "README.md", "2026-11-22.txt"):
        (tmp_path / "worklog" / name).write_text("| debugging | 2 | |\n- [ ] C7 (2026-11-20) not in the log\n")
    assert pages.list_pages(tmp_path) == [page]
    assert entries.add_confusion(tmp_path, "first", MONDAY)[1].name == "C1"


def test_a_persons_text_is_kept_byte_for_byte(tmp_path):
    page = entries.open_page(tmp_path, MONDAY)
    mine = "\ufeff" + page.read_text().replace("\n", "\r\n")
    mine = mine.replace("aloud\r\n", "aloud\r\n\r\n \t| a | table |\u2028\x0c\n```\n## 3 not the heading\n```\r\n\r\n")
    page.write_bytes((mine + "after it\r\n\n  no newline at the end").encode())
    before = outside(page)
    for run in ("a_1", "a_2", "a_3"):
        entries.enter_run(tmp_path, record(run), MONDAY)
        entries.enter_result(tmp_path, ended(run), MONDAY)
        entries.add_hours(tmp_path, 1, "debugging", run, MONDAY)
        entries.add_confusion(tmp_path, run, MONDAY)
    entries.resolve_confusion(tmp_path, "C2", "it was late", MONDAY)
    assert outside(page) == before
    assert [len(rows(page, name)) for name in ("results", "hours", "runs")] == [3, 3, 0]
    assert b"finished |\r\n" in page.read_bytes() and b"it was late\r\n" in page.read_bytes()


def test_hostile_text_stays_within_its_cell(tmp_path):
    question = "a|b \\| c\r\n<!-- runs:end -->\n## 4 Results </table> \udcff\x1b[31m [x](../runs/x) | [a_2](y) \\"
    entries.enter_run(tmp_path, record("a_1", question=question), MONDAY)
    entries.enter_run(tmp_path, record("a_2", question="[a_1](../runs/a_1)"), MONDAY)
    page = pages.page_path(tmp_path, MONDAY)
    first, second = rows(page, "runs")
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", first)) == len(pages.COLUMNS["runs"]) + 1
    assert "\x1b" not in first and "\\<!--" in first and "\\</table>" in first
    assert pages.read_cells(first)[2].startswith("a|b \\| c <!-- runs:end --> ## 4 Results </table>")
    entries.enter_result(tmp_path, ended("a_1", question=question), MONDAY)
    assert rows(page, "runs") == [second]
    entries.enter_result(tmp_path, ended("a_2"), MONDAY)
    entries.enter_result(tmp_path, ended("a_1", question=question), MONDAY)
    assert len(rows(page, "results")) == 2


@pytest.mark.parametrize(
    "damage, named",
    [
        (lambda text: text.replace("<!-- runs:end -->\n", ""), "<!-- runs:end -->"),
        (lambda text: text.replace("<!-- results:start -->\n", ""), "<!-- results:start -->"),
        (lambda text: text + "<!-- runs:start -->\n", "<!-- runs:start -->' stands there 2 times"),
        (
            lambda text: text.replace("runs:start", "?").replace("runs:end", "runs:start").replace("?", "runs:end"),
            "runs:",
        ),
        (lambda text: "", "is missing"),
    ],
)
def test_a_damaged_page_is_named_and_left_alone(tmp_path, damage, named):
    page = entries.open_page(tmp_path, MONDAY)
    page.write_text(damage(page.read_text()))
    before = page.read_bytes()
    for change in (entries.enter_run, entries.enter_result):
        with pytest.raises(UserError) as error:
            change(tmp_path, ended(), MONDAY)
        assert str(page) in str(error.value) and named in str(error.value) and "\n" not in str(error.value)
        assert page.read_bytes() == before


@pytest.mark.parametrize(
    "marker, change",
    [
        ("hours:start", lambda root: entries.add_hours(root, 1, "debugging", "", MONDAY)),
        ("hours:end", lambda root: entries.add_hours(root, 1, "debugging", "", MONDAY)),
        ("confused:end", lambda root: entries.add_confusion(root, "x", MONDAY)),
    ],
)
def test_a_region_without_a_marker_is_named_and_left_alone(tmp_path, marker, change):
    page = entries.open_page(tmp_path, MONDAY)
    page.write_text(page.read_text().replace(f"<!-- {marker} -->\n", ""))
    before = page.read_bytes()
    with pytest.raises(UserError, match=f"{page}: the line '<!-- {marker} -->' is missing; put it back once"):
        change(tmp_path)
    assert page.read_bytes() == before


def test_a_damaged_page_still_opens_and_takes_thoughts(tmp_path, capsys):
    page = entries.open_page(tmp_path, MONDAY)
    page.write_text(page.read_text().replace("<!-- runs:end -->\n", "").replace("<!-- confused:start -->\n", ""))
    assert entries.open_page(tmp_path, MONDAY) == page
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: ") and "<!-- runs:end -->' is missing" in warning
    entries.add_note(tmp_path, "kept", datetime(2026, 11, 23, 9))
    assert "<!-- confused:end -->\n- 09:00 kept\n\n## 3" in page.read_text()


def test_a_page_that_is_not_utf8_is_named_and_left_alone(tmp_path):
    page = entries.open_page(tmp_path, MONDAY)
    before = page.read_bytes() + "Größe".encode("latin-1")
    page.write_bytes(before)
    for change in (lambda: entries.enter_run(tmp_path, record(), MONDAY), lambda: pages.read_page(page)):
        with pytest.raises(UserError, match="not UTF-8"):
            change()
    assert page.read_bytes() == before


def test_an_unwritable_folder_is_one_clear_line(tmp_path):
    (tmp_path / "worklog").write_text("a file")
    with pytest.raises(UserError, match="worklog"):
        entries.open_page(tmp_path)


def test_a_full_disk_leaves_the_page_as_it_was(tmp_path):
    page = entries.open_page(tmp_path, MONDAY)
    page.write_text(page.read_text() + "x" * 20_000)
    before = page.read_bytes()
    script = (
        "import resource, signal, sys; from datetime import date; from pathlib import Path\n"
        "from repro.worklog import entries\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: entries.enter_run(Path(sys.argv[1]), {'id': 'a', 'status': 'failed', 'params': {}}, date(2026, 11, 23))\n"
        "except entries.UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "disk is full" in done.stdout and str(page) in done.stdout
    assert page.read_bytes() == before
    assert sorted(path.name for path in page.parent.iterdir()) == [".lock", page.name]


def test_cells_are_read_as_they_were_written():
    texts = ["a|b", "c\\|d \\\\ e", "<b> x", "", "emoji 🤖 | \\", "\\<b> \\\\<b> \\<!-- <!--"]
    row = pages.table_row([pages.escape(text) for text in texts])
    assert all(len(slashes) % 2 for slashes in re.findall(r"(\\*)<", row))  # no HTML
    assert pages.read_cells(row) == texts
