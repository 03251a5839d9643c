"""`repro log` as a user types it."""

import os
import pty
import re
import subprocess
import sys
from datetime import date, timedelta

import pytest
from project import here
from terminal import Terminal
from worklog_examples import archived, ended, region

COMMANDS = ("add", "confused", "hours", "search", "week")


@pytest.fixture
def log(project, monkeypatch, capsys):
    """`repro log ...` in a project: exit code, stdout, stderr."""
    return lambda *arguments: here(project, monkeypatch, capsys, "log", *arguments)


def test_a_day_from_the_command_line(project, log):
    today = date.today()
    name = f"worklog/{today}.md"
    page = project.root / name
    assert log("add", "flat: why?") == (0, f"added to {name}\n", "")
    assert log("confused")[1] == "nothing is open\n"
    assert log("confused", "two losses") == (
        0,
        f"C1 stands in {name}, and on every page from now on until it is resolved:\n"
        'repro log confused --resolve C1 "what it was"\n',
        "",
    )
    assert log("confused")[1] == f"- [ ] C1 ({today}) two losses\n"
    assert log("hours", "2.5", "the normaliser", "--stage", "tuning")[1] == f"2.5 h of tuning in {name}, 2.5 h today\n"
    assert log("hours", "1")[1] == f"1 h of debugging in {name}, 3.5 h today\n"
    assert log("confused", "--resolve", "C1", "one of them is the mean")[1] == f"C1 resolved in {name}\n"
    code, out, _ = log()
    assert code == 0 and out == f"{name}\n\n{page.read_text()}"
    assert region(page, "hours")[2:] == ["| tuning | 2.5 | the normaliser |", "| debugging | 1 |  |"]
    assert log("search", "TWO", "mean")[1].startswith(
        f"{today}  log 2  - [x] C1 ({today}) two losses **Resolved {today}:**"
    )
    assert log("search", "nowhere") == (1, "", "nothing in the log holds: nowhere\n")
    archived(project.root, ended("2026-01-02_dot_aaaa", started="2026-01-02T10:00:00", ended="2026-01-02T11:00:00"))
    assert "Questions answered: 1" in log("week", "--of", "2026-01-08")[1]
    assert "tuning     2.50 h      0 h" in log("week")[1] and "Questions asked: 0" in log("week")[1]


def test_words_need_no_quotes(project, log):
    page = project.root / f"worklog/{date.today()}.md"
    assert log("add", "-1", "is", "odd")[0] == log("add", "- a list\n- of two")[0] == 0
    assert re.search(r"\n- \d\d:\d\d -1 is odd\n- \d\d:\d\d - a list\n  - of two\n", page.read_text())
    assert log("confused", "two", "losses")[0] == 0 and log("confused")[1].endswith(" two losses\n")
    assert log("confused", "--resolve", "C1", "one", "is", "a", "mean")[0] == 0
    assert page.read_text().count("** one is a mean\n") == 1
    assert log("hours", "1", "hunting", "it")[0] == 0 and "| debugging | 1 | hunting it |" in page.read_text()
    assert log("week", "--of", "yesterday")[1] == log("week", "--of", str(date.today() - timedelta(days=1)))[1]


def test_a_damaged_page_is_named_and_takes_what_it_can(project, log):
    log()
    name = f"worklog/{date.today()}.md"
    page = project.root / name
    page.write_text(page.read_text().replace("<!-- runs:end -->\n", ""))
    put_back = f"{name}: the line '<!-- runs:end -->' is missing; put it back once (worklog/README.md shows a page)\n"
    for arguments in ((), ("hours", "1"), ("add", "x"), ("confused", "y")):
        code, _, error = log(*arguments)
        assert (code, error) == (0, f"warning: rows of runs are not brought up to date: {put_back}")
    assert len(region(page, "hours")) == 3
    page.write_text(page.read_text().replace("<!-- confused:end -->\n", ""))
    before = page.read_bytes()
    code, _, error = log("confused", "z")
    assert code == 2 and error == f"error: {put_back}".replace("runs", "confused") and page.read_bytes() == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["add", ""], "the note is empty"),
        (["confused", " "], "the text is empty"),
        (["confused", "--resolve", "C1"], "the explanation is missing"),
        (["confused", "--resolve", "C1", "x"], "there is no such confusion; none is open"),
        (["hours"], "repro log hours: HOURS is missing (hours of your work"),
        (["hours", "two"], "hours: two is not a number; write hours with a point, such as 2.5"),
        (["hours", "1,5"], "hours: 1,5 is not a number; write hours with a point, such as 2.5"),
        (["hours", "-1"], "-1: is taken for an option; no number here is below 0; see repro log hours --help"),
        (["hours", "nan"], "hours: nan will not do"),
        (["hours", "25"], "hours: 25 will not do"),
        (["hours", "1", "--stage", "debuging"], "--stage debuging: no such stage in budget.yaml; did you mean"),
        (["search"], "repro log search: WORDS is missing"),
        (["search", ""], "nothing to search for"),
        (["week", "--of", "2026-13-01"], "--of 2026-13-01: not a day; write it as 2026-11-21, today or yesterday"),
        (["2026-11-20"], "repro log 2026-11-20: opens today's page only; that day's is worklog/2026-11-20.md"),
        (["2026-13-40"], "repro log 2026-13-40: not a day; write it as 2026-11-21, today or yesterday"),
        (["ad", "x"], "repro log ad: no such command; did you mean: repro log add"),
    ],
)
def test_bad_input_is_one_line_and_makes_no_page(shared_project, monkeypatch, capsys, arguments, message):
    code, out, error = here(shared_project, monkeypatch, capsys, "log", *arguments)
    assert (code, out) == (2, "") and error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert not list((shared_project.root / "worklog").glob("*.md"))


def test_each_explains_itself_with_an_example(log):
    for command in COMMANDS:
        code, text, _ = log(command, "--help")
        assert code == 0 and f"Example: repro log {command}" in text


@pytest.mark.parametrize("arguments", ["add x", "confused x", "hours 1", "search x", "week"])
def test_nothing_heavy_is_loaded(project, arguments):
    code = "import sys; sys.argv = ['repro', 'log', *sys.argv[1:]]; import repro.cli; import atexit; "
    code += "atexit.register(lambda: print('LOADED', *sys.modules)); repro.cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()],
        cwd=project.root,
        env=project.env,
        capture_output=True,
        text=True,
    )
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "repro.worklog.pages" in loaded, done.stderr
    assert not loaded & {"torch", "numpy", "wandb", "matplotlib", "scipy", "gymnasium", "dvc", "pandas"}


def test_on_a_terminal_the_page_opens_in_the_editor_and_words_are_bold(project, tmp_path):
    editor = tmp_path / "an editor"
    editor.write_text('#!/bin/sh\necho "opened $2" | sed "s:/.*/::"\nexit 3\n')
    editor.chmod(0o755)

    def on_a_terminal(*arguments: str) -> tuple[int, str]:
        main, side = pty.openpty()
        env = {name: value for name, value in project.env.items() if name != "NO_COLOR"}
        env |= {"EDITOR": f"'{editor}' --wait", "TERM": "xterm"}
        process = project.start("log", *arguments, stdin=side, stdout=side, stderr=side, env=env)
        code = process.wait()
        os.close(side)
        text = b""
        try:
            while part := os.read(main, 1 << 16):
                text += part
        except OSError:  # all is read
            pass
        os.close(main)
        return code, text.decode().replace("\r\n", "\n")

    assert on_a_terminal() == (3, f"opened {date.today()}.md\n")
    assert on_a_terminal("add", "the Clock | again")[0] == 0
    code, text = on_a_terminal("search", "clock")
    assert code == 0 and re.search("the \x1b\\[1mClock\x1b\\[0m | again", text)


def test_a_terminal_shows_the_page_with_whole_names_of_runs(project, log):
    name = f"{date.today()}_a-preset-whose-name-is-longer-than-its-column_7f3a"
    archived(project.root, ended(name, started=f"{date.today()}T00:00:01", ended=f"{date.today()}T00:00:02"))
    assert log("confused", "two", "losses")[0] == 0
    terminal = Terminal(project, "log", EDITOR="", TERM="dumb")  # no styles
    assert terminal.end() == 0
    lines = terminal.seen.splitlines()
    assert lines[0] == f"worklog/{date.today()}.md" and max(map(len, lines)) <= 80
    assert f" • [ ] C1 ({date.today()}) two losses" in terminal.seen
    assert "<!--" not in terminal.seen and "---" not in terminal.seen
    table = terminal.seen.partition("4 Results, by environment")[2].splitlines()
    head, *rows = [line for line in table if line.strip(" ─")]
    begin, end = head.index(" run"), head.index(" seed")
    assert "".join(row[begin:end].strip() for row in rows) == name
