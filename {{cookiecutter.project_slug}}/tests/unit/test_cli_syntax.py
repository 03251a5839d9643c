"""Errors in the user's own code: a syntax error is one line, whatever command meets it; others have a traceback."""

from __future__ import annotations

import pytest
from project import Project


def append(project: Project, file: str, text: str) -> int:
    """Append to a module; returns the number of its last line."""
    path = project.root / "src/repro" / file
    with path.open("a") as module:
        module.write(text)
    return path.read_text().count("\n")


def train_by(project: Project, line: str) -> None:
    """Have all training be this line of code."""
    (project.root / "src/repro/session/run.py").write_text(f"def train_run(*_):\n    {line}\n")


@pytest.mark.parametrize(
    ("command", "file", "text", "message"),
    [
        ("train --seed 100", "agents/ppo.py", "def learn(:\n", "invalid syntax"),
        ("launch --seed 100", "session/run.py", "return = 1\n", "invalid syntax"),  # which only the run imports
        ("runs", "tracking/archive.py", "class\n", "invalid syntax"),  # which every command imports
    ],
)
def test_a_syntax_error_is_one_line_and_starts_nothing(project, command, file, text, message):
    line = append(project, file, text)
    assert project.refused(*command.split()) == f"src/repro/{file}:{line}: {message}; correct it and try again"
    assert not (project.root / "runs").exists()


def test_a_run_that_meets_one_says_so(project):
    """As its code imports a part only when it needs it."""
    append(project, "results/late.py", "(\n")
    train_by(project, "import repro.results.late")
    run = project.queue()
    done = project.repro("resume", run.id)
    run = project.only_run()
    line = f"runs/.snapshots/{run.record['code_hash']}/src/repro/results/late.py:1: '(' was never closed; correct it"
    assert done.returncode == 2 and done.stderr == f"error: {line} and try again\n"
    assert (run.record["status"], run.record["exit_code"]) == ("failed", 2) and line in run.record["result"]


@pytest.mark.parametrize("fault", ["undefined_name", 'compile("a b", "", "exec")', "1 / 0"])
def test_any_other_error_shows_where_it_arose(project, fault):
    train_by(project, fault)
    done = project.repro("resume", project.queue().id)
    log = (project.only_run().path / "output.log").read_text()
    for text in (done.stderr, log):
        assert "Traceback" in text and "src/repro/session/run.py" in text and f"    {fault}\n" in text
    assert done.returncode == 1 and project.only_run().record["exit_code"] == 1
