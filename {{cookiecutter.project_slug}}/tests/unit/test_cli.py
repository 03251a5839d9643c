"""The commands, as a user runs them: processes of their own, exit codes, one line for what is wrong."""

from __future__ import annotations

import os
import pty
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import date

import pytest
from project import Project, assert_equal_runs, kill, line_count, rows, wait_until

from repro.cli import main
from repro.tracking.archive import effective_status, load_run
from repro.tracking.snapshot import code_hash

COMMANDS = ["train", "launch", "resume", "runs", "show", "evaluate", "prefs collect", "log", "log add", "prelaunch"]
LONG = "training.total_steps=200000"


def here(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """`repro ...` without a process of its own, for what ends before a run is started: exit code, stdout, stderr."""
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(sys, "argv", ["repro", *arguments])
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stop:
        main()
    return (stop.value.code or 0, *capsys.readouterr())


def page(project: Project) -> str:
    return (project.root / "worklog" / f"{date.today()}.md").read_text()


def log_of(project: Project, run: str) -> list[int]:
    """The numbers of the logs in which the run has a row."""
    logs = re.split(r"^## (?=\d)", page(project), flags=re.MULTILINE)[1:]
    return [int(log[0]) for log in logs if f"[{run}](" in log]


class TestCommands:
    def test_each_explains_itself_with_an_example(self, monkeypatch, capsys, shared_project):
        code, everything, _ = here(shared_project, monkeypatch, capsys)
        assert code == 0
        for command in COMMANDS:
            assert f" {command.split()[0]} " in everything
            code, text, _ = here(shared_project, monkeypatch, capsys, *command.split(), "--help")
            assert code == 0 and f"Example: repro {command}" in text, command
        assert "_run" not in everything

    @pytest.mark.parametrize("command", ["--help", "runs", "log", "train --help"])
    def test_quick_ones_load_nothing_heavy(self, shared_project, command):
        code = "import sys; sys.argv = ['repro', *sys.argv[1:]]; import repro.cli; import atexit; "
        code += "atexit.register(lambda: print('LOADED', *sys.modules)); repro.cli.main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *command.split()],
            cwd=shared_project.root,
            env=shared_project.env,
            capture_output=True,
            text=True,
        )
        loaded = set(done.stdout.rpartition("LOADED")[2].split())
        assert "repro.cli" in loaded
        assert not loaded & {"torch", "numpy", "wandb", "matplotlib", "scipy", "gymnasium", "dvc"}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("bogus", "No such command 'bogus'; see repro --help"),
            ("train", "Missing option '--seed'; see repro train --help"),
            ("train --seed -1", "Invalid value for '--seed'"),
            ("train --seed 1 --sett a=b", "No such option: --sett"),
            ("prefs", "Missing command; see repro prefs --help"),
            ("show", "Missing argument 'run'"),
            ("train --seed 1 --set agent.learning_rat=1", "did you mean 'learning_rate'?"),
            ("train --seed 1 --set agent.epochs=many", 'agent.epochs: "many" will not do'),
            ("train --seed 1 --params presets/pong.yaml", "presets/pong.yaml: no such file"),
            ("evaluate", "name a run (repro evaluate latest), or a cell"),
            ("evaluate --cell --seed 1", "models/tiny/seed-1/run.json: no such file; make the models with: dvc repro"),
            ("show latest", "there is no run yet; start one with: repro train --seed 100"),
            ("resume 7f3a", "no run '7f3a': there are no runs yet"),
            ("train --seed 1 --preferences data/x", "data/x: holds no exported preferences (no meta.json); make them"),
            (
                "train --seed 1 --cell",
                "data/tiny/seed-1: holds no exported preferences (no meta.json); make them with:",
            ),
            ("train --seed 1 --preferences data/x --set reward.source=environment", "which needs none"),
            ("prelaunch --answers missing.yaml", "missing.yaml: no such file"),
            ("train --seed 1 --set gate.after_minutes=0", "no terminal to ask the pre-launch questions on"),
        ],
    )
    def test_bad_input_is_one_line_and_starts_nothing(self, shared_project, monkeypatch, capsys, arguments, message):
        code, out, error = here(shared_project, monkeypatch, capsys, *arguments.split())
        assert (code, out) == (2, "")
        assert error.startswith("error: ") and error.count("\n") == 1
        assert message in error and str(shared_project.root) not in error
        assert not [path for path in (shared_project.root / "runs").glob("*") if path.name != ".snapshots"]

    def test_damaged_parameters(self, project, monkeypatch, capsys):
        for content, message in (
            ("a: [", "params.yaml, line 1: not valid YAML"),
            ("", "params.yaml: expected sections"),
            ("\0", "params.yaml: not valid YAML"),
            (project.params.read_text().replace('"epochs": 2', '"epochs": 2, "epoch": 2'), "did you mean 'epochs'"),
        ):
            project.params.write_text(content)
            code, _, error = here(project, monkeypatch, capsys, "train", "--seed", "1")
            assert code == 2 and error.count("\n") == 1 and message in error, error
        project.params.unlink()
        code, _, error = here(project, monkeypatch, capsys, "runs")
        assert code == 2 and "params.yaml: no such file; copy one of presets" in error

    def test_outside_of_a_project_and_deep_inside(self, project, tmp_path, monkeypatch, capsys):
        outside = tmp_path / "elsewhere"
        outside.mkdir()
        for arguments in (["runs"], ["log"], ["train", "--seed", "1"], ["report"]):
            assert "not inside a project" in project.refused(*arguments, cwd=outside)
        assert not list(outside.iterdir())
        deep = project.root / "src/repro"
        assert "no runs yet" in project.ok("runs", cwd=deep)
        assert "did you mean" in project.refused("train", "--seed", "1", "--set", "agent.epoch=1", cwd=deep)

    def test_ambiguous_finished_and_unreadable_runs(self, project, monkeypatch, capsys):
        one, two = project.queue(1), project.queue(2)
        code, _, error = here(project, monkeypatch, capsys, "resume", one.id[:10])
        assert code == 2 and one.id in error and two.id in error
        one.update(status="finished")
        code, _, error = here(project, monkeypatch, capsys, "resume", one.id)
        assert code == 2 and error == f"error: {one.id}: is finished; look at it with: repro show {one.id}\n"
        (two.path / "run.json").write_text("{")
        code, _, error = here(project, monkeypatch, capsys, "show", two.id)
        assert code == 2 and f"runs/{two.id}" in error
        code, out, _ = here(project, monkeypatch, capsys, "runs")
        assert code == 0 and "unreadable" in out


class TestExports:
    def test_damaged_ones_are_refused_before_a_run_is_made(self, project, monkeypatch, capsys):
        code, out, _ = here(project, monkeypatch, capsys, "prefs", "collect", "--seed", "5", "--out", "export")
        assert code == 0 and re.fullmatch(r"16 labels \(\d+ ties\) from 512 steps: export\n", out)
        whole = {file: file.read_bytes() for file in (project.root / "export").iterdir()}
        assert {file.name for file in whole} == {"segments.npz", "labels.jsonl", "meta.json"}

        def refusal(*arguments: str) -> str:
            arguments = ("train", "--seed", "5", "--preferences", "export", *arguments)
            code, _, error = here(project, monkeypatch, capsys, *arguments)
            assert code == 2 and error.count("\n") == 1
            assert not (project.root / "runs").exists()
            return error

        for file, content in whole.items():
            file.write_bytes(content[: len(content) // 2])
            assert f"export/{file.name}" in refusal()
            file.write_bytes(content)
        damaged = bytearray(whole[project.root / "export/segments.npz"])
        damaged[len(damaged) // 2] ^= 0xFF
        (project.root / "export/segments.npz").write_bytes(damaged)
        assert "export/segments.npz" in refusal()
        (project.root / "export/segments.npz").write_bytes(whole[project.root / "export/segments.npz"])
        assert "holds 16 labels, but preferences.initial_labels is 12" in refusal("--set=preferences.initial_labels=12")
        assert "holds preferences for moving-dot, discrete" in refusal("--set=env.actions=continuous")

    def test_the_same_seed_gives_the_same_bytes(self, project, monkeypatch, capsys):
        for folder in ("one", "two"):
            here(project, monkeypatch, capsys, "prefs", "collect", "--seed", "5", "--out", folder)
        for name in ("segments.npz", "labels.jsonl", "meta.json"):
            assert (project.root / "one" / name).read_bytes() == (project.root / "two" / name).read_bytes()


class TestTraining:
    def test_from_the_first_command_to_the_evaluation(self, project):
        """Without git; everything that stands about the run afterwards."""
        project.env["PATH"] = "/nonexistent"
        out = project.ok("train", "--seed", "100", "--question", "does it run?", "--set", "training.total_steps=1024")
        run = project.only_run()
        assert out.startswith(f"run {run.id}\n")
        record = run.record
        assert (record["status"], record["exit_code"], record["seed"]) == ("finished", 0, 100)
        assert record["command"][:4] == ["repro", "train", "--seed", "100"]
        assert record["overrides"] == ["training.total_steps=1024"]
        assert record["params"]["training"]["total_steps"] == 1024
        assert record["commit"] is None and record["notes"] == [
            "git is not installed: the code is kept in the snapshot only"
        ]
        assert record["gate"]["passed"] == "below threshold"
        assert record["devices"]["gpus"] == [] or record["devices"]["gpus"][0]
        assert record["result"] in out and "1,024 steps, " in record["result"]
        assert line_count(run.path / "metrics.jsonl") == 2  # 512 of the 1024 steps were for the initial labels
        assert record["result"] in (run.path / "output.log").read_text()
        assert log_of(project, run.id) == [4] and "does it run?" in page(project)
        assert "does it run?" in project.ok("runs")
        assert "does it run?" in project.ok("show", "latest")
        evaluated = project.ok("evaluate", run.id)
        assert "sampled" in evaluated and "<- judged" in evaluated
        assert "over 4 episodes" in project.ok("show", run.id[-4:])

    def test_a_run_with_a_hard_life(self, project):
        """Ctrl-C, kill, kill -9, a full disk; and the code is edited meanwhile. It ends as if nothing had happened."""
        steps = "training.total_steps=15360"  # long enough to be caught in the act on a busy machine
        undisturbed, run = project.queue(100, steps), project.queue(100, steps)
        project.ok("resume", undisturbed.id)

        def rows_are(count: int) -> None:
            """Wait until the new process has taken the run over, and there are so many rows; then halt it."""
            wait_until(lambda: load_run(project.root, run.id).record["pid"] == process.pid, process)
            wait_until(lambda: line_count(run.path / "metrics.jsonl") >= count, process)
            process.send_signal(signal.SIGSTOP)

        process = project.start("resume", run.id)
        rows_are(1)
        assert log_of(project, run.id) == [3]
        assert re.fullmatch(rf"{run.id}: is being done by .* stop that one first", project.refused("resume", run.id))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        out, error = process.communicate()
        assert process.returncode == 130 and "Traceback" not in out + error
        assert error == f"\ninterrupted; go on with: repro resume {run.id}\n"
        assert load_run(project.root, run.id).record["status"] == "interrupted"
        assert load_run(project.root, run.id).record["exit_code"] == 130
        assert log_of(project, run.id) == [4] and "interrupted" in page(project)

        source = project.root / "src/repro/training/on_policy.py"
        source.write_text(source.read_text() + "\nraise RuntimeError('this code is of another day')\n")

        process = project.start("resume", run.id)
        rows_are(4)
        process.terminate()
        process.send_signal(signal.SIGCONT)
        out, error = process.communicate()
        assert process.returncode == 143 and "Traceback" not in out + error
        assert load_run(project.root, run.id).record["status"] == "interrupted"

        process = project.start("resume", run.id)
        rows_are(5)
        kill(process)
        assert effective_status(load_run(project.root, run.id).record) == "crashed"
        assert " crashed " in project.ok("runs")

        full = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))}
        line = project.refused("resume", run.id, **full)
        assert "the disk is full" in line and "free some space" in line
        failed = load_run(project.root, run.id)
        assert failed.record["status"] == "failed" and "disk is full" in failed.record["result"]
        assert rows(failed) == rows(undisturbed)[: len(rows(failed))]
        with sqlite3.connect(run.path / "preferences.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)

        project.ok("resume", run.id)
        assert_equal_runs(undisturbed, run)
        record = load_run(project.root, run.id).record
        assert (record["status"], record["exit_code"], len(record["resumed"])) == ("finished", 0, 4)
        assert log_of(project, run.id) == [4] and page(project).count(f"[{run.id}](") == 1

    def test_the_folder_is_deleted_meanwhile(self, project):
        run = project.queue(100, LONG)
        process = project.start("resume", run.id)
        wait_until(lambda: line_count(run.path / "metrics.jsonl") >= 1, process)
        shutil.rmtree(run.path)
        out, error = process.communicate()
        assert process.returncode == 2 and "Traceback" not in out + error
        assert len([line for line in error.splitlines() if line.startswith("error: ")]) == 1
        assert "deleted" in error and not run.path.exists()
        assert log_of(project, run.id) == [4]

    @pytest.mark.parametrize("file", ["checkpoints/last.pt", "preferences.db", "run.json", "metrics.jsonl"])
    def test_damaged_files_are_named_on_resume(self, shared_run, file):
        project, run, copies = shared_run
        shutil.rmtree(run.path)
        shutil.copytree(copies, run.path)
        content = (run.path / file).read_bytes()
        (run.path / file).write_bytes(content[: len(content) // 3])
        line = project.refused("resume", run.id)
        assert file in line and "Traceback" not in line
        if file != "run.json":
            assert load_run(project.root, run.id).record["status"] == "failed"

    def test_on_a_terminal(self, project):
        """A bar, and in output.log what it would be on paper."""
        run = project.queue(100, "training.total_steps=1536")
        ours, theirs = pty.openpty()
        with project.start("resume", run.id, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            shown = b""
            try:
                while part := os.read(ours, 65536):
                    shown += part
            except OSError:  # the other side is closed
                pass
        assert process.returncode == 0
        assert b"1,536/1,536" in shown and "━".encode() in shown and b"labels" in shown and b"Traceback" not in shown
        log = (run.path / "output.log").read_text()
        assert "\x1b" not in log and "\r" not in log and load_run(project.root, run.id).record["result"] in log


@pytest.fixture(scope="module")
def shared_run(shared_project, tmp_path_factory):
    """A run that was killed after its first checkpoint, and a copy of its folder."""
    run = shared_project.queue(100, LONG)
    process = shared_project.start("resume", run.id)
    wait_until(lambda: line_count(run.path / "metrics.jsonl") >= 4, process)
    kill(process)
    sqlite3.connect(run.path / "preferences.db").execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return shared_project, run, shutil.copytree(run.path, tmp_path_factory.mktemp("copies") / "run")


class TestLaunch:
    def test_detached_from_a_snapshot_with_the_gate_skipped(self, project):
        """It returns at once; what is edited afterwards concerns the run no more."""
        code = code_hash(project.root)
        out = project.ok(
            *("launch", "--seed", "101", "--set", "gate.after_minutes=0", "--skip", "it is a test"),
            *("--set", "training.total_steps=4096", "--question", "detached?"),
        )
        run = project.only_run()
        os.kill(run.record["pid"], signal.SIGSTOP)  # until the code is edited
        assert out.startswith(f"run {run.id} started; follow it with: tail -f runs/{run.id}/output.log")
        for file in (project.root / "src/repro").rglob("*.py"):
            file.write_text("raise RuntimeError('edited')\n")
        assert effective_status(run.record) == "running" and log_of(project, run.id) in ([], [3])
        os.kill(run.record["pid"], signal.SIGCONT)
        wait_until(lambda: load_run(project.root, run.id).record["status"] != "running")
        record = load_run(project.root, run.id).record
        assert (record["status"], record["exit_code"], record["code_hash"]) == ("finished", 0, code)
        assert record["skip_reason"] == "it is a test" and record["gate"]["passed"] == "skipped"
        assert record["pid"] != os.getpid() and record["result"]
        assert code_hash(project.root) != code

    def test_with_answers_and_wait(self, project, monkeypatch, capsys):
        """The exit code is the run's; here, the disk is full."""
        options = ["--set", "gate.after_minutes=0"]
        code, _, _ = here(project, monkeypatch, capsys, "prelaunch", "--write-answers", "answers.yaml", *options)
        assert code == 0
        answers = project.root / "answers.yaml"
        text = re.sub(r'(?m)^(  \w+): ""$', r'\1: "a test"', answers.read_text())
        text = text.replace('surprise: ""', "surprise: very").replace(
            "failure_probability:", "failure_probability: 0.1"
        )
        names = ["overfits_batch", "clips_independent", "seeds", "reward_model_start", "reward_model_swap"]
        answers.write_text(text.replace("accept: {}", f"accept: {{{', '.join(f'{name}: tiny' for name in names)}}}"))
        full = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))}
        done = project.repro("launch", "--seed", "100", "--answers", "answers.yaml", "--wait", *options, **full)
        assert done.returncode == 2, done.stdout + done.stderr
        record = project.only_run().record
        assert (record["status"], record["exit_code"]) == ("failed", 2) and "disk is full" in record["result"]
        assert record["question"] == "a test" and record["prediction"]["failure_probability"] == 0.1
        assert record["gate"]["passed"] == "answered"
        assert "error: " in (project.only_run().path / "output.log").read_text()

    def test_other_code_than_the_launched_is_refused(self, project):
        run = project.queue(100)
        line = project.refused("_run", str(run.path))
        assert f"{run.id}: src/repro/__init__.py is not the code this run was launched with" in line
        assert load_run(project.root, run.id).record["status"] == "queued"

    def test_one_that_does_not_get_under_way(self, project, monkeypatch, capsys):
        from repro.workflow import runs

        run = project.queue(100)
        shutil.rmtree(project.root / "runs/.snapshots" / run.record["code_hash"] / "src/repro/workflow")
        with pytest.raises(runs.UserError, match=f"did not get under way; see why with: repro resume {run.id}"):
            runs.start_run(project.root, run)
