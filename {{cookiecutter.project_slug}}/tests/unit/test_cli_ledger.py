"""`repro close` and `repro ledger` as they are typed: what they say and refuse, on a terminal and without one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import date, datetime, timedelta

import pytest
from ledger_examples import closed, prediction, write_run
from project import PATIENCE, here

from repro.tracking import archive, index
from repro.tracking.archive import read_run
from repro.tracking.index import list_summaries
from repro.worklog import entries


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("close 7f3b", "no run '7f3b'; did you mean 2026-11-21_moving-dot_7f3a?"),
        ("close", "repro close: RUN is missing"),
        ("close 7f3a", "2026-11-21_moving-dot_7f3a: there is no terminal to ask on; give --outcome succeeded"),
        ("close 7f3a --outcome won", "--outcome won: write one of: succeeded, failed"),
        ("close 7f3a --cause x --foreseen 9", "--foreseen 9: give no, or the number of a predicted cause: 1 labels"),
        ("ledger --plot x.png", "--plot goes with --predictions"),
        ("ledger --params params.yaml", "--params goes with --planned"),
        ("ledger --runs --planned", "--runs, --planned, --predictions: give one of them"),
        ("ledger --predictions --plot x.gif", "--plot x.gif: .gif will not do; let the name end in .png or .svg"),
        ("ledger --predictions --plot x.png", "there is nothing to draw"),
        ("ledger --planned --params gone.yaml", "gone.yaml: no such file"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(shared_project, monkeypatch, capsys, arguments, message):
    if not (shared_project.root / "runs").exists():
        write_run(shared_project.root, prediction=prediction())
    run = shared_project.only_run()
    before = (run.path / "run.json").read_bytes()
    code, out, error = here(shared_project, monkeypatch, capsys, *arguments.split())
    assert (code, out) == (2, "")
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert (run.path / "run.json").read_bytes() == before
    assert not (shared_project.root / "worklog").exists() and not list(shared_project.root.glob("x.*"))


def test_a_damaged_budget_or_checklist_stops_it_and_a_page_does_not(project, monkeypatch, capsys):
    root = project.root
    page = entries.open_page(root)
    entries.add_hours(root, 2.5, "debugging", "why is it flat?")
    for path, command, text in (
        (root / "budget.yaml", "ledger", (root / "budget.yaml").read_text().replace("cpu: 0.10", "cpu: -1")),
        (root / "checklists/prelaunch.yaml", "ledger --predictions", "questions: ["),
    ):
        good = path.read_text()
        path.write_text(text)
        code, out, error = here(project, monkeypatch, capsys, *command.split())
        assert (code, out) == (2, "") and path.name in error and error.count("\n") == 1
        assert path.read_text() == text
        path.write_text(good)
    old = page.with_name("2020-01-01.md")
    old.write_text("lost its markers")
    code, out, error = here(project, monkeypatch, capsys, "ledger")
    assert code == 0 and " 2.50 " in next(line for line in out.splitlines() if line.startswith("debugging"))
    assert error.startswith("warning: hours are not counted: worklog/2020-01-01.md: ") and error.count("\n") == 1


def test_a_page_of_the_future_is_named_and_the_run_stays_open(project, monkeypatch, capsys):
    run = write_run(project.root)
    page = entries.open_page(project.root, date.today() + timedelta(days=2))
    code, out, error = here(project, monkeypatch, capsys, "close", "7f3a", "--outcome", "succeeded")
    assert (code, out) == (2, "") and error.count("\n") == 1
    assert f"{page.name}: this page is 2 days ahead of today" in error
    assert read_run(run.path).record["closed"] is None and list(page.parent.glob("*.md")) == [page]
    code, *_ = here(project, monkeypatch, capsys, "log", "add", "x")
    assert code == 2 and list(page.parent.glob("*.md")) == [page]


def test_close_then_ledger(project, monkeypatch, capsys):
    today = datetime.now().astimezone().isoformat(timespec="seconds")
    run = write_run(project.root, prediction=prediction(), ended=today)
    code, out, _ = here(project, monkeypatch, capsys, "close", "7f3a", "--cause", "lr too high", "--foreseen", "no")
    assert code == 0 and out.startswith(f"{run.id}: closed as failed: lr too high (not foreseen), by a person on 20")
    code, out, _ = here(project, monkeypatch, capsys, "close", "7f3a", "--foreseen", "2")
    assert out.startswith("replaces: failed: lr too high (not foreseen), by a person on 20")
    assert f"{run.id}: closed as failed: learning rate too high (foreseen as 2 learning rate too high)" in out
    code, out, _ = here(project, monkeypatch, capsys, "ledger", "--predictions", "--plot", "reliability.svg")
    assert code == 0 and "Brier score 0.640" in out and "written: reliability.svg" in out
    code, out, _ = here(project, monkeypatch, capsys, "ledger", "--planned")
    assert code == 0 and out.startswith("planned seeds") and "\ntiny " in out and "tiny/" not in out
    (project.root / "deeper").mkdir()
    monkeypatch.chdir(project.root / "deeper")
    assert project.does("ledger", "--planned", "--params", "params.yaml", cwd=project.root / "deeper") == out
    params = json.loads(project.params.read_text())
    project.params.write_text(json.dumps(params | {"seeds": params["seeds"] | {"ablations": ["no-noise-term"]}}))
    code, out, _ = here(project, monkeypatch, capsys, "ledger", "--planned")
    assert code == 0 and "\ntiny " in out and "\ntiny/no-noise-term " in out
    code, out, _ = here(project, monkeypatch, capsys, "ledger", "--runs")
    assert code == 0 and run.id in out


def test_plan_and_predictions_come_from_the_index(project, monkeypatch, capsys):
    """Reading ten thousand records takes seconds."""
    for number in range(250):
        run = write_run(project.root, f"{number:04x}", prediction=prediction(), closed=closed("failed", "x", False))
        os.utime(run.path / "run.json", (1e9, 1e9))
    list_summaries(project.root)
    for module in (archive, index):
        monkeypatch.delattr(module, "read_named_record")
    for option in ("--planned", "--predictions"):
        code, out, error = here(project, monkeypatch, capsys, "ledger", option)
        assert code == 0, error
    assert "250" in out


def test_resuming_says_that_a_closing_is_withdrawn(project, monkeypatch, capsys):
    run = write_run(project.root, status="interrupted", closed=closed("failed", "too slow"))
    resumed = []
    monkeypatch.setattr("repro.runs.processes.become_run", lambda root, run: resumed.append(run.id))
    code, out, _ = here(project, monkeypatch, capsys, "resume", "7f3a")
    assert code == 0 and resumed == [run.id]
    assert out.startswith(f"{run.id}: was closed as failed: too slow, by a person on 2026-11-22; that is withdrawn")
    assert out.count("\n") == 1


def test_a_cell_that_goes_on_with_a_closed_run_says_that_the_closing_is_withdrawn(project, monkeypatch, capsys):
    run = write_run(project.root, status="interrupted", closed=closed("failed", "too slow"))
    monkeypatch.setattr("repro.runs.preparing.prepare_run", lambda *_: run)
    monkeypatch.setattr("repro.runs.processes.become_run", lambda root, run: None)
    code, out, _ = here(project, monkeypatch, capsys, "train", "--seed", "100", "--cell")
    assert code == 0 and out.splitlines() == [
        f"{run.id}: was closed as failed: too slow, by a person on 2026-11-22; that is withdrawn, "
        "close it again when it ends",
        f"run {run.id}",
    ]


def test_on_a_terminal_the_prediction_is_shown_and_the_rest_asked(project):
    run = write_run(project.root, prediction=prediction())
    ours, theirs = pty.openpty()
    with project.start("close", "7f3a", stdin=theirs) as process:
        os.close(theirs)
        for answer in (b"failed\n", b"no\n", b"rewards flat\n"):
            os.write(ours, answer)
        out, error = process.communicate(timeout=PATIENCE)
    os.close(ours)
    assert process.returncode == 0, error
    assert "  1 labels too few (accepted: that is the question)" in out and "Does it learn?" in out
    stored = read_run(run.path).record["closed"]
    assert (stored["cause"], stored["foreseen"], stored["by"]) == ("rewards flat", False, "person")


def test_they_load_nothing_heavy(project):
    for number in range(3):
        write_run(project.root, f"{number}", prediction=prediction(), closed=closed("failed", "x", False))
    code = "import sys; sys.argv = ['repro', *sys.argv[1:]]; import repro.cli; import atexit; "
    code += "atexit.register(lambda: print('LOADED', *sys.modules)); repro.cli.main()"
    for command in ("ledger", "ledger --planned", "ledger --predictions", "close 0 --outcome succeeded"):
        done = subprocess.run(
            [sys.executable, "-c", code, *command.split()],
            cwd=project.root,
            env=project.env,
            capture_output=True,
            text=True,
        )
        loaded = set(done.stdout.rpartition("LOADED")[2].split())
        assert "repro.terminal.tables" in loaded or "repro.runs.closing" in loaded, done.stderr
        assert not loaded & {"torch", "numpy", "wandb", "matplotlib", "scipy", "gymnasium", "dvc"}, command
