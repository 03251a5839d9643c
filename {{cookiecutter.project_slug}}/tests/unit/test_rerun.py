"""`repro rerun`: from the run's own code and parameters, compared with it at the end."""

from __future__ import annotations

import json
import os
import shutil
import tarfile

import pytest
from archive_examples import new_run
from project import Project, here, kill, line_count, rows, wait_until

from repro.device import resolve_auto
from repro.gate.checklist import read_checklist, write_answers_template
from repro.gate.prelaunch import Given, launched_params
from repro.runs.reproduced import compare_with_original
from repro.runs.rerun import prepare_rerun
from repro.tracking.archive import RunFolder
from repro.tracking.lookup import find_run


def rerun_of(project: Project, run: RunFolder) -> RunFolder:
    """The latest rerun of a run."""
    reruns = [again for again in project.runs() if again.record.get("rerun_of") == run.id]
    return max(reruns, key=lambda again: again.path.stat().st_ctime)


@pytest.fixture(scope="module")
def original(shared_project: Project) -> RunFolder:
    """A finished run of parameters and code that are not the project's any more."""
    run = shared_project.queue(100, "agent.learning_rate=0.001", "training.total_steps=2048", commit="abc", dirty=True)
    (run.path / "code.diff").write_bytes(b"a diff\n")
    with tarfile.open(run.path / "untracked.tar.gz", "w:gz"):
        pass
    shared_project.does("resume", run.id)
    source = shared_project.root / "src/repro/training/on_policy.py"
    source.write_text(source.read_text() + "\nraise RuntimeError('this code is of another day')\n")
    return find_run(shared_project.root, run.id)


class TestMatching:
    def test_code_parameters_and_circumstances_are_those_of_the_original(self, shared_project, original):
        out = shared_project.ok("rerun", original.id)
        again = rerun_of(shared_project, original)
        assert out.startswith("tiny: about ")
        assert f"\nrun {again.id}, with the code and parameters of {original.id}\n" in out
        assert out.endswith(f"\nrerun of {original.id}: the metrics match bit for bit\n")
        assert out.splitlines()[-1] in (again.path / "output.log").read_text()
        record = again.record
        assert (record["rerun_matches"], record["rerun_detail"]) == (True, "the metrics match bit for bit")
        assert rows(again) == rows(original) and record["status"] == "finished"
        for field in ("params", "code_hash", "commit", "dirty", "seed", "versions"):
            assert record[field] == original.record[field], field
        for file in ("code.diff", "untracked.tar.gz", "params.yaml"):
            assert (again.path / file).read_bytes() == (original.path / file).read_bytes(), file
        assert record["command"] == ["repro", "rerun", original.id] and record["device"] == "cpu"
        assert record["question"] == f"Does {original.id} come out the same again?"
        assert record["gate"]["passed"] == "below threshold" and record["prediction"] is None
        assert f"{original.id} come out the same again?" in shared_project.does("show", again.id)

    def test_killed_and_resumed(self, shared_project, original):
        process = shared_project.start("rerun", original.id)
        wait_until(lambda: line_count(rerun_of_or_nothing(shared_project, original, process.pid)) >= 1, process)
        kill(process)
        again = next(run for run in shared_project.runs() if run.record["pid"] == process.pid)
        assert again.record["rerun_of"] == original.id and "rerun_matches" not in again.record
        out = shared_project.ok("resume", again.id)
        assert out.endswith(f"rerun of {original.id}: the metrics match bit for bit\n")
        assert find_run(shared_project.root, again.id).record["rerun_matches"] is True


def rerun_of_or_nothing(project: Project, original: RunFolder, pid: int):
    """The metrics of the rerun that a process does."""
    for folder in (project.root / "runs").glob("[!.]*"):
        run = find_run(project.root, folder.name)
        if run.record["pid"] == pid and run.record.get("rerun_of") == original.id:
            return run.path / "metrics.jsonl"
    return original.path / "no-metrics-yet"


def copy(project: Project, original: RunFolder, code: str, **fields) -> RunFolder:
    """Another run with the files of the original."""
    path = shutil.copytree(original.path, project.root / f"runs/2026-11-21_tiny_{code}")
    run = RunFolder(path, dict(original.record))
    run.update(**fields)
    return run


class TestOther:
    def test_first_difference_is_named_with_what_else_differs(self, shared_project, original):
        """The record says another seed than the run really had; and it was made with an old torch."""
        versions = original.record["versions"] | {"torch": "1.0"}
        run = copy(shared_project, original, "seed", seed=101, versions=versions)
        now = original.record["versions"]["torch"]
        out = shared_project.does("rerun", run.id)
        assert f"\nnote: the metrics may differ: torch 1.0 then, {now} now\n" in out
        again = rerun_of(shared_project, run)
        first, other = rows(run)[0], rows(again)[0]
        name = next(name for name in first if first[name] != other[name])
        detail = (
            f"the metrics do not match, first at step {first['env_step']}, {name}: {first[name]} against {other[name]} "
            f"(torch 1.0 then, {now} now)"
        )
        assert again.record["rerun_matches"] is False and again.record["rerun_detail"] == detail
        assert out.endswith(f"rerun of {run.id}: {detail}\n") and again.record["status"] == "finished"

    def test_the_gate(self, shared_project, original):
        """Guards what takes long, unless the original has passed it; what was predicted stays with that one."""
        params = original.record["params"] | {"gate": {"after_minutes": 0.0}}
        run = copy(shared_project, original, "long", params=params)
        assert "no terminal to ask the pre-launch questions on" in shared_project.refuses("rerun", run.id)
        gate = {"passed": "answered", "question": "q", "prediction": {"failure_probability": 0.5}}
        run.update(gate=gate)
        out = shared_project.does("rerun", run.id, "--background")
        again = rerun_of(shared_project, run)
        assert again.record["gate"]["passed"] == "answered" and again.record["prediction"] is None
        assert f"started; follow it with: repro watch {again.id}" in out
        assert shared_project.does("watch", again.id).endswith("finished · ok\n")


def test_a_prediction_that_was_asked_for_the_rerun_is_kept(project, monkeypatch):
    """And the file of answers that fits the parameters, `auto` among them, fits their rerun."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    (project.root / "checklists/prelaunch.yaml").write_text("questions: [{id: question, ask: q, why: w}]\nchecks: {}\n")
    auto = project.config("training.device=auto", "training.precision=auto", "gate.after_minutes=0.0")
    run = project.queue(100, params=resolve_auto(auto))
    (run.path / "metrics.jsonl").write_text('{"env_step":256,"time/wall":60.0}\n')
    answers = project.root / "answers.yaml"
    code = run.record["code_hash"]
    write_answers_template(answers, read_checklist(project.root), code, launched_params(auto))
    text = answers.read_text().replace('question: ""', "question: Again?").replace('surprise: ""', "surprise: very")
    answers.write_text(text.replace("failure_probability:", "failure_probability: 0.25"))
    again = prepare_rerun(project.root, run, None, None, Given(answers))
    assert again.record["prediction"] == {"failure_probability": 0.25, "surprise": "very", "causes": []}


class TestVerdict:
    """What is said and recorded of metrics that are there."""

    ROWS = [{"env_step": 256, "policy/loss": 0.5}, {"env_step": 512, "policy/loss": 0.25}]

    def verdict(self, root, *, rows=ROWS, original_rows=ROWS, seed=7, **fields):
        original = new_run(root)
        original.update(**({"status": "finished"} | fields))
        again = new_run(root, rerun_of=original.id, seed=seed)
        for run, content in ((original, original_rows), (again, rows)):
            (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
        said = compare_with_original(root, again)
        record = find_run(root, again.id).record
        assert said == f"rerun of {original.id}: {record['rerun_detail']}"
        return record["rerun_matches"], record["rerun_detail"]

    def test_of_an_original_that_did_not_get_as_far(self, repository):
        detail = "the metrics match bit for bit as far as the original got, before step 512"
        assert self.verdict(repository, original_rows=self.ROWS[:1], status="interrupted") == (True, detail)
        detail = "the metrics do not match, first at step 512: the first has no such row"
        assert self.verdict(repository, original_rows=self.ROWS[:1]) == (False, detail)

    def test_with_another_seed_nothing_need_match(self, repository):
        other = [row | {"policy/loss": 1.0} for row in self.ROWS]
        detail = "the metrics are others, as the seed is 8, not 7"
        assert self.verdict(repository, rows=other, seed=8) == (None, detail)
        detail = "the metrics are the same although the seed is 8, not 7: it has no effect"
        assert self.verdict(repository, seed=8) == (None, detail)

    def test_the_original_is_deleted_or_damaged(self, repository):
        again = new_run(repository, rerun_of="2026-11-20_gone_1234")
        (again.path / "metrics.jsonl").write_text('{"env_step":256}\n')
        said = compare_with_original(repository, again)
        assert said.startswith(
            "rerun of 2026-11-20_gone_1234: cannot be compared with it: no run '2026-11-20_gone_1234'"
        )
        original = new_run(repository)
        (original.path / "metrics.jsonl").write_text('"nothing"\n')
        again.update(rerun_of=original.id)
        assert "metrics.jsonl, line 1: not a row of metrics" in compare_with_original(repository, again)
        assert find_run(repository, again.id).record["rerun_matches"] is None


class TestRefused:
    """Nothing is created."""

    @pytest.fixture
    def run(self, project: Project):
        run = project.queue(100)
        (run.path / "metrics.jsonl").write_text('{"env_step":256,"time/wall":1.0}\n')
        yield run
        assert [folder.name for folder in (project.root / "runs").glob("[!.]*")] == [run.id]

    @pytest.fixture
    def refusal(self, project, monkeypatch, capsys):
        def line(*arguments: str) -> str:
            code, _, error = here(project, monkeypatch, capsys, *arguments)
            assert code == 2 and error.count("\n") == 1
            return error

        return line

    def test_the_snapshot_is_gone_or_was_changed(self, project, run, refusal):
        snapshot = project.root / "runs/.snapshots" / run.record["code_hash"]
        file = snapshot / "src/repro/reading.py"
        os.chmod(file, 0o644)
        file.write_text(file.read_text() + "\n")
        assert f"was changed since {run.id} ran from it, so this code cannot be run again" in refusal("rerun", run.id)
        shutil.rmtree(snapshot)
        assert "no such snapshot; the code of this run was deleted" in refusal("rerun", run.id)

    def test_the_untracked_files_of_the_original_cannot_be_copied(self, project, run, refusal):
        (run.path / "untracked.tar.gz").unlink(missing_ok=True)
        (run.path / "untracked.tar.gz").mkdir()
        assert "untracked.tar.gz: cannot be written (Is a directory)" in refusal("rerun", run.id)

    def test_the_initial_comparisons_are_gone_or_of_another_seed(self, project, run, refusal):
        folder = project.root / "data/x"
        run.update(preferences=str(folder))
        assert f"data/x: is gone, and {run.id} began with the comparisons in it" in refusal("rerun", run.id)
        folder.mkdir(parents=True)
        assert "leave --seed out" in refusal("rerun", run.id, "--seed", "7")
