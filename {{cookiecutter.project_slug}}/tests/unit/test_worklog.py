"""The work log: rows of runs enter and leave, a person's text stays, nothing is lost by concurrency or kill -9."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path

import pytest

from repro.config import UserError
from repro.workflow import worklog

MONDAY, TUESDAY = date(2026, 11, 23), date(2026, 11, 24)


def record(run="2026-11-23_moving-dot_7f3a", **changes):
    return {
        "id": run,
        "seed": 100,
        "question": "Does it learn?",
        "started": "2026-11-23T14:03:09+01:00",
        "params": {"env": {"id": "moving-dot"}},
        "status": "finished",
        "result": "91% of optimal",
    } | changes


def rows(path: Path, region: str) -> list[str]:
    text = path.read_bytes().decode()
    block = text.split(f"<!-- {region}:start -->")[1].split(f"\n<!-- {region}:end -->")[0]
    return block.strip().splitlines()[2:]


def outside(path: Path) -> bytes:
    """What is a person's: the page without the two regions."""
    return re.sub(rb"<!-- (\w+):start -->.*?<!-- \1:end -->", b"", path.read_bytes(), flags=re.DOTALL)


def test_a_new_page_has_the_four_logs_and_is_not_made_twice(tmp_path):
    path = worklog.open_page(tmp_path, MONDAY)
    assert path == tmp_path / "worklog" / "2026-11-23.md"
    headings = [line for line in path.read_text().splitlines() if line.startswith("##")]
    assert headings == [
        "## 1 Output I am working on",
        "## 2 Thinking aloud",
        "## 3 Runs in progress and the question each answers",
        "## 4 Results, by environment",
    ]
    path.write_text(path.read_text() + "mine\n")
    worklog.open_page(tmp_path, MONDAY)
    assert path.read_text().endswith("mine\n")
    assert worklog.open_page(tmp_path).stem == str(date.today())


def test_a_run_enters_log_3_and_leaves_for_log_4(tmp_path):
    page = worklog.open_page(tmp_path, MONDAY)
    worklog.enter_run(tmp_path, record(status="running", result=None), MONDAY)
    link = "[2026-11-23_moving-dot_7f3a](../runs/2026-11-23_moving-dot_7f3a)"
    assert rows(page, "runs") == [f"| {link} | 100 | Does it learn? | 2026-11-23 14:03 |"]
    assert rows(page, "results") == []
    for _ in range(2):
        worklog.finish_run(tmp_path, record(), MONDAY)
    assert rows(page, "runs") == []
    assert rows(page, "results") == [f"| moving-dot | {link} | 100 | Does it learn? | 91% of optimal | finished |"]


def test_a_run_that_ends_on_a_later_day_leaves_the_earlier_page(tmp_path):
    worklog.enter_run(tmp_path, record(), MONDAY)
    worklog.enter_run(tmp_path, record("2026-11-23_moving-dot_7f3ab"), MONDAY)
    for _ in range(2):
        worklog.finish_run(tmp_path, record(ended="2026-11-24T01:00:00+01:00"))
    monday, tuesday = (worklog.page_path(tmp_path, day) for day in (MONDAY, TUESDAY))
    assert [row[:31] for row in rows(monday, "runs")] == ["| [2026-11-23_moving-dot_7f3ab]"]
    assert len(rows(tuesday, "results")) == 1
    assert not worklog.page_path(tmp_path).exists()  # it ended on Tuesday, not today


def test_a_resumed_run_returns_to_log_3(tmp_path):
    worklog.finish_run(tmp_path, record(status="interrupted"), MONDAY)
    worklog.enter_run(tmp_path, record(), TUESDAY)
    monday, tuesday = (worklog.page_path(tmp_path, day) for day in (MONDAY, TUESDAY))
    assert (rows(monday, "results"), len(rows(tuesday, "runs"))) == ([], 1)


def test_results_of_one_environment_stand_together(tmp_path):
    for run, env in (("a_1", "dot"), ("a_2", "pong"), ("a_3", "dot")):
        worklog.finish_run(tmp_path, record(run, params={"env": {"id": env}}), MONDAY)
    table = rows(worklog.page_path(tmp_path, MONDAY), "results")
    assert [re.search(r"\[(\w+)\]", row)[1] for row in table] == ["a_1", "a_3", "a_2"]


def test_a_persons_text_is_kept_byte_for_byte(tmp_path):
    page = worklog.open_page(tmp_path, MONDAY)
    mine = "\ufeff" + page.read_text().replace("\n", "\r\n")
    mine = mine.replace("aloud\r\n", "aloud\r\n\r\n \t| a | table |\u2028\x0c\n```\n## 3 not the heading\n```\r\n\r\n")
    page.write_bytes((mine + "after it\r\n\n  no newline at the end").encode())
    before = outside(page)
    for run in ("a_1", "a_2", "a_3"):
        worklog.enter_run(tmp_path, record(run), MONDAY)
        worklog.finish_run(tmp_path, record(run), MONDAY)
    assert outside(page) == before
    assert len(rows(page, "results")) == 3
    assert b"finished |\r\n" in page.read_bytes()


def test_hostile_text_stays_within_its_cell(tmp_path):
    question = "a|b \\| c\r\n<!-- runs:end -->\n## 4 Results </table> \udcff\x1b[31m [x](../runs/x) | [a_2](y) \\"
    worklog.enter_run(tmp_path, record("a_1", question=question), MONDAY)
    worklog.enter_run(tmp_path, record("a_2", question="[a_1](../runs/a_1)"), MONDAY)
    page = worklog.page_path(tmp_path, MONDAY)
    first, second = rows(page, "runs")
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", first)) == len(worklog.COLUMNS["runs"]) + 1
    assert "\x1b" not in first and "\\<!--" in first and "\\</table>" in first
    worklog.finish_run(tmp_path, record("a_1", question=question), MONDAY)
    assert rows(page, "runs") == [second]
    worklog.finish_run(tmp_path, record("a_2"), MONDAY)
    worklog.finish_run(tmp_path, record("a_1", question=question), MONDAY)
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
    page = worklog.open_page(tmp_path, MONDAY)
    page.write_text(damage(page.read_text()))
    before = page.read_bytes()
    for change in (worklog.enter_run, worklog.finish_run):
        with pytest.raises(UserError) as error:
            change(tmp_path, record(), MONDAY)
        assert str(page) in str(error.value) and named in str(error.value) and "\n" not in str(error.value)
        assert page.read_bytes() == before


def test_a_page_that_is_not_utf8_is_named_and_left_alone(tmp_path):
    page = worklog.open_page(tmp_path, MONDAY)
    before = page.read_bytes() + "Größe".encode("latin-1")
    page.write_bytes(before)
    for change in (lambda: worklog.enter_run(tmp_path, record(), MONDAY), lambda: worklog.read_page(page)):
        with pytest.raises(UserError, match="not UTF-8"):
            change()
    assert page.read_bytes() == before


def test_notes_go_to_the_end_of_log_2(tmp_path):
    page = worklog.open_page(tmp_path, MONDAY)
    morning, later = datetime(2026, 11, 23, 9, 5), datetime(2026, 11, 23, 16, 30)
    worklog.add_note(tmp_path, "first\n## 3 Runs in progress and the question each answers", morning)
    page.write_text(page.read_text().replace("\n## 3 Runs", "\nMine, a paragraph.\n\n\n## 3 Runs"))
    rest = page.read_text().split("\n## 3 Runs")[1]
    worklog.add_note(tmp_path, " second <!-- ", later)
    text = page.read_text()
    assert "aloud\n\n- 09:05 first\n  " in text
    assert "Mine, a paragraph.\n- 16:30 second \\<!--\n\n\n## 3 Runs" in text
    assert text.endswith(rest)
    with pytest.raises(UserError, match="empty"):
        worklog.add_note(tmp_path, " \n ")


def test_a_note_on_a_page_without_its_heading_is_refused(tmp_path):
    page = worklog.open_page(tmp_path, MONDAY)
    page.write_text(page.read_text().replace("## 2 Thinking aloud", "## 2 thoughts"))
    before = page.read_bytes()
    with pytest.raises(UserError, match="## 2 Thinking aloud"):
        worklog.add_note(tmp_path, "x", datetime(2026, 11, 23, 9))
    assert page.read_bytes() == before


def test_an_unwritable_folder_is_one_clear_line(tmp_path):
    (tmp_path / "worklog").write_text("a file")
    with pytest.raises(UserError, match="worklog"):
        worklog.open_page(tmp_path)


def test_a_full_disk_leaves_the_page_as_it_was(tmp_path):
    page = worklog.open_page(tmp_path, MONDAY)
    page.write_text(page.read_text() + "x" * 20_000)
    before = page.read_bytes()
    script = (
        "import resource, signal, sys; from datetime import date; from repro.workflow import worklog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: worklog.enter_run(sys.argv[1], {'id': 'a_1'}, date(2026, 11, 23))\n"
        "except worklog.UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "disk is full" in done.stdout and str(page) in done.stdout
    assert page.read_bytes() == before
    assert sorted(path.name for path in page.parent.iterdir()) == [".lock", page.name]


WRITER = """
import sys
from datetime import date
from repro.workflow import worklog
root, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(count):
    record = {"id": f"{name}_{number}", "seed": number, "question": "q", "status": "finished"}
    worklog.enter_run(root, record, date(2026, 11, 23))
    if number % 2:
        worklog.finish_run(root, record, date(2026, 11, 24))
    print(number, flush=True)
"""


def start_writer(root: Path, name: str, count: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_concurrent_processes_lose_no_rows(tmp_path):
    writers = [start_writer(tmp_path, name, 10) for name in "abcd"]
    assert [writer.communicate()[0].split()[-1] for writer in writers] == ["9"] * 4
    monday, tuesday = (worklog.page_path(tmp_path, day) for day in (MONDAY, TUESDAY))
    ids = [
        sorted(re.findall(r"\[(\w+)\]", "\n".join(rows(*where)))) for where in ((monday, "runs"), (tuesday, "results"))
    ]
    assert ids == [[f"{n}_{i}" for n in "abcd" for i in range(s, 10, 2)] for s in (0, 1)]


def test_killed_at_random_moments_every_page_stays_readable(tmp_path):
    moments = random.Random(0)
    worklog.open_page(tmp_path, MONDAY)
    for attempt in range(8):
        writer = start_writer(tmp_path, f"k{attempt}", 10_000)
        writer.stdout.readline()
        time.sleep(moments.uniform(0, 0.05))
        writer.send_signal(signal.SIGKILL)
        said = [0, *map(int, writer.communicate()[0].split())]
        monday, tuesday = (worklog.page_path(tmp_path, day) for day in (MONDAY, TUESDAY))
        entered = re.findall(rf"\[k{attempt}_(\d+)\]", "\n".join(rows(monday, "runs")))
        ended = re.findall(rf"\[k{attempt}_(\d+)\]", "\n".join(rows(tuesday, "results"))) if tuesday.exists() else []
        assert set(said) <= {int(number) for number in entered + ended}
        assert len(set(entered)) == len(entered) and len(set(ended)) == len(ended)
    worklog.enter_run(tmp_path, record(), MONDAY)  # the lock of the killed is free
    names = sorted(path.name for path in (tmp_path / "worklog").iterdir())
    assert names == [".lock", f"{MONDAY}.md", f"{TUESDAY}.md"]
