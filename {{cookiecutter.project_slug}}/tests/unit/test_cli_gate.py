"""What is given for the gate on the command line: refused before anything is estimated; found from subfolders."""

from __future__ import annotations

import os

import pytest
from project import here

from repro.config.ablations import WHOLE
from repro.launch.cells import prepare_cells
from repro.preflight import estimate
from repro.reading import UserError
from repro.runs.preparing import RunRequest, prepare_run

LAUNCH = ("launch", "--seed", "100")
PRELAUNCH = ("prelaunch", "--seed", "100")


@pytest.fixture
def gate(project, monkeypatch, capsys):
    """`repro ...`, which must be refused before the estimate; returns the line."""

    def no_estimate(*_):
        raise AssertionError("estimated")

    def refused(*arguments):
        code, out, error = here(project, monkeypatch, capsys, *arguments)
        assert (code, out) == (2, "") and error.count("\n") == 1, error
        assert not [path for path in (project.root / "runs").glob("*") if path.name != ".snapshots"]
        return error.removeprefix("error: ").rstrip("\n")

    monkeypatch.setattr(estimate, "estimate_minutes", no_estimate)
    return refused


@pytest.mark.parametrize("command", [LAUNCH, PRELAUNCH])
def test_what_will_not_do_is_refused_before_the_estimate(gate, project, command):
    assert gate(*command, "--answers", "a.yaml").startswith(
        "a.yaml: no such file; repro prelaunch --write-answers FILE makes one"
    )
    (project.root / "a.yaml").write_text("")
    assert (
        gate(*command, "--answers", "a.yaml")
        == "a.yaml: is empty; repro prelaunch --write-answers FILE makes one to fill in"
    )
    (project.root / "a.yaml").write_bytes(b"\xff")
    assert "a.yaml: cannot be read" in gate(*command, "--answers", "a.yaml")
    assert gate(*command, "--answers", "") == ".: is a folder; name a file in it"
    assert gate(*command, "--skip", " ").startswith("--skip: give the reason")
    assert "give one of them, not both" in gate(*command, "--skip", "why", "--answers", "a.yaml")


@pytest.mark.parametrize("command", [LAUNCH, PRELAUNCH])
def test_a_stale_file_of_answers_is_refused_before_the_estimate(gate, project, monkeypatch, capsys, command):
    options = ("--params", "params.yaml", "--set", "agent.epochs=3")
    code, out, _ = here(project, monkeypatch, capsys, *PRELAUNCH, *options, "--write-answers", "a.yaml")
    then = "repro prelaunch --seed 100 --params params.yaml --set agent.epochs=3 --answers a.yaml"
    assert (code, out) == (0, f"written: a.yaml; fill it in, then: {then}\n")
    assert gate(*command, *options, "--answers", "a.yaml").startswith("a.yaml: not answered: answers.question, ")
    line = gate(*command, "--answers", "a.yaml")
    assert line.startswith("a.yaml: stale: written for other parameters (agent.epochs 3, now 2); make a new one")
    (project.root / "src/repro/new.py").write_text("")
    assert gate(*command, *options, "--answers", "a.yaml").startswith("a.yaml: stale: written for other code; make")


def test_a_parameter_file_is_found_from_a_subfolder(project):
    (project.root / "presets").mkdir()
    (project.root / "presets/x.yaml").write_text(project.params.read_text().replace('"tiny"', '"from-presets"'))
    deep = project.root / "src/repro"
    written = project.does("prelaunch", "--params", "presets/x.yaml", "--write-answers", "a.yaml", cwd=deep)
    assert "--params presets/x.yaml" in written and '"from-presets"' in (deep / "a.yaml").read_text()
    (deep / "presets").mkdir()
    (deep / "presets/x.yaml").write_text(project.params.read_text().replace('"tiny"', '"from-here"'))
    project.does("prelaunch", "--params", "presets/x.yaml", "--write-answers", "b.yaml", cwd=deep)
    assert '"from-here"' in (deep / "b.yaml").read_text()
    assert project.refuses("prelaunch", "--params", "y.yaml", cwd=deep).startswith("y.yaml: no such file")


def test_a_pipeline_that_is_stopped_goes_on_once_prelaunch_was_answered(project, monkeypatch, capsys):
    """`dvc repro` has no place for --answers; the line names the command that has one."""
    monkeypatch.setattr(estimate, "estimate_minutes", lambda *_: 0.2)
    (project.root / "checklists/prelaunch.yaml").write_text(
        "questions: [{id: question, ask: A?, why: b}]\nchecks: {}\n"
    )
    content = project.params.read_text()
    assert '"after_minutes": 30.0' in content
    project.params.write_text(content.replace('"after_minutes": 30.0', '"after_minutes": 0'))
    request = RunRequest(100, cell=True)
    config = project.config("reward.source=environment")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.chdir(project.root)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    with pytest.raises(UserError, match=r"takes about 24 s .*: answer them before, with repro prelaunch .* dvc repro"):
        prepare_run(project.root, config, request)

    options = ("prelaunch", "--set", "reward.source=environment")
    assert here(project, monkeypatch, capsys, *options, "--write-answers", "a.yaml")[0] == 0
    file = project.root / "a.yaml"
    answers = (
        file.read_text().replace('question: ""', 'question: "Does it learn?"').replace('surprise: ""', "surprise: very")
    )
    file.write_text(answers.replace("failure_probability:", "failure_probability: 0.1"))
    assert "passed (answered)" in here(project, monkeypatch, capsys, *options, "--answers", "a.yaml")[1]
    assert prepare_run(project.root, config, request).record["gate"]["passed"] == "answered"


def test_the_time_of_a_person_counts(project, monkeypatch, capsys):
    """40 labels at 900 an hour: 2 minutes and 40 seconds; in a run of its own, in a sweep, and at the gate."""
    monkeypatch.setattr(estimate, "estimate_minutes", lambda *_: 0.2)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    config = project.config("preferences.annotator=person")
    said = "tiny: about 2.9 min, 2.7 min of it for 40 labels by a person at 900 an hour"
    record = prepare_run(project.root, config, RunRequest(100)).record
    assert (record["estimate_minutes"], record["gate"]["estimate_minutes"], record["person_labels"]) == (2.87, 2.87, 40)
    assert capsys.readouterr().out == f"{said}\n"
    runs = prepare_cells(project.root, {WHOLE: config}, [101, 102], RunRequest(0))
    assert [(run.record["estimate_minutes"], run.record["person_labels"]) for run in runs] == [(2.87, 40)] * 2
    assert capsys.readouterr().out == f"{said}; all 2 runs of the sweep: about 5.7 min, 0.01 USD\n"
    options = ("--set", "preferences.annotator=person", "--skip", "a test")
    _, out, _ = here(project, monkeypatch, capsys, "prelaunch", *options)
    assert out.startswith(f"{said}\n")
