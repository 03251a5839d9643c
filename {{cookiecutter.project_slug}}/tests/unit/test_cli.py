"""The commands, as a user types them: help, exit codes, exports, one line for what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from project import here

COMMANDS = [
    "train",
    "launch",
    "resume",
    "runs",
    "show",
    "sync",
    "evaluate",
    "prefs collect",
    "log",
    "log add",
    "prelaunch",
    "close",
    "ledger",
]


class TestCommands:
    def test_each_explains_itself_with_an_example(self, monkeypatch, capsys, shared_project):
        code, everything, _ = here(shared_project, monkeypatch, capsys)
        assert code == 0
        for command in COMMANDS:
            assert f" {command.split()[0]} " in everything
            code, text, _ = here(shared_project, monkeypatch, capsys, *command.split(), "--help")
            assert code == 0 and f"Example: repro {command}" in text, command
        assert "_run" not in everything

    def test_help_says_what_options_take_in_words(self, monkeypatch, capsys, shared_project):
        for command in ("", "train", "launch", "label", "evaluate", "prefs", "log hours"):
            _, text, _ = here(shared_project, monkeypatch, capsys, *command.split(), "--help")
            options = text.partition("Options")[2]
            assert not re.search(r"<\w", options), command  # no types of Python
            assert re.search(r"--help +Show this", options), command
        _, text, _ = here(shared_project, monkeypatch, capsys, "train", "--help")
        for line in (
            r"--seed +NUMBER \[x>=0\] +All",
            r"--set +KEY=VALUE +Over",
            r"--stage +TEXT +Stage",
            r"--cell +Pub",
        ):
            assert re.search(line, text), line

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
            ("nonsense", "repro nonsense: no such command; all there are: repro --help"),
            ("rnus", "repro rnus: no such command; did you mean: repro runs"),
            ("_rnu", "repro _rnu: no such command; all there are: repro --help"),  # the hidden _run is not offered
            ("confused x", "repro confused: no such command; did you mean: repro log confused"),
            ("hours 2", "repro hours: no such command; did you mean: repro log hours"),
            ("serach x", "repro serach: no such command; did you mean: repro log search"),
            ("log ledger", "repro log ledger: no such command; did you mean: repro ledger"),
            ("runs --limit x", "--limit x: write a whole number, such as 3; see repro runs --help"),
            ("runs --limit 0", "--limit 0: write a number of at least 1; see repro runs --help"),
            (
                "train",
                "repro train: --seed is missing (all randomness follows from it); type for example: repro train --",
            ),
            ("train --seed -1", "--seed -1: write a number of at least 0"),
            ("label --port 99999", "--port 99999: write a number of at most 65535; see repro label --help"),
            ("train --seed 1 --set", "--set: its value is missing; write it after a space; see repro --help"),
            ("train --seed=x", "--seed x: write a whole number, such as 3; see repro train --help"),
            (
                "log week 2026-11-20",
                "2026-11-20: one word too many; a value follows its option; see repro log week --help",
            ),
            ("train --seed 1 --sett a=b", "No such option: --sett"),
            ("prefs", "there is no run yet; start one with: repro train --seed 100"),
            (
                "show",
                "repro show: RUN is missing (a run's id, its start or its last four letters, or `latest`); type for "
                "example: repro show latest; see repro show --help",
            ),
            (
                "compare x",
                "repro compare: OTHERS is missing (the runs to compare it with); type for example: repro compare 359b",
            ),
            ("train --seed 1 --set agent.learning_rat=1", "did you mean 'agent.learning_rate'?"),
            (
                "train --seed 1 --set agent=1",
                "agent: 1 will not do: it is a section; name a parameter",
            ),
            ("train --seed 1 --set env=dot", 'env: "dot" will not do: it is a section'),
            ("evaluate latest --actions random", "--actions random: write one of 'sampled', 'greedy'; see repro eval"),
            ("ledger --predictions --plot no/x.png", "--plot no/x.png: the folder no does not exist; make it first"),
            ("train --seed 1 --set agent.lr=1", "no parameter 'agent.lr'; did you mean 'agent.learning_rate'?"),
            ("train --seed 1 --params src", "src: is a folder; name a file in it"),
            ("launch --seed 1 --ablations no-ensemble,", "--ablations 'no-ensemble,': a name is empty; write them"),
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
        ],
    )
    def test_bad_input_is_one_line_and_starts_nothing(self, shared_project, monkeypatch, capsys, arguments, message):
        code, out, error = here(shared_project, monkeypatch, capsys, *arguments.split())
        assert (code, out) == (2, "")
        assert error.startswith("error: ") and error.count("\n") == 1
        assert message in error and str(shared_project.root) not in error
        assert not [path for path in (shared_project.root / "runs").glob("*") if path.name != ".snapshots"]

    def test_a_gate_without_a_terminal_starts_nothing(self, shared_project, monkeypatch, capsys):
        code, out, error = here(
            shared_project, monkeypatch, capsys, "train", "--seed", "1", "--set", "gate.after_minutes=0"
        )
        assert code == 2 and out.startswith("tiny: about ") and out.count("\n") == 1
        assert "no terminal to ask the pre-launch questions on" in error and error.count("\n") == 1
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
            assert "not inside a project" in project.refuses(*arguments, cwd=outside)
        assert not list(outside.iterdir())
        deep = project.root / "src/repro"
        assert "no runs yet" in project.does("runs", cwd=deep)
        assert "did you mean" in project.refuses("train", "--seed", "1", "--set", "agent.epoch=1", cwd=deep)

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
        other = refusal("--set=preferences.initial_labels=12")
        assert "holds 16 labels, but preferences.initial_labels is 12; start with what is there: --set " in other
        assert (
            "--set preferences.initial_labels=16; or collect others: repro prefs collect --seed " in other
            and "--out" not in other
        )
        assert "holds preferences for moving-dot, discrete" in refusal("--set=env.actions=continuous")

    def test_of_true_rewards_there_are_none(self, project, monkeypatch, capsys):
        """The pipeline collects for every preset, and expects the folder."""
        settings = ("--set=reward.source=environment", "--set=preferences.segment_steps=99")
        code, out, _ = here(project, monkeypatch, capsys, "prefs", "collect", "--seed", "5", *settings)
        assert code == 0 and out == "nothing to collect, as reward.source is environment: data/tiny/seed-5\n"
        assert list((project.root / "data/tiny/seed-5").iterdir()) == []

    def test_the_same_seed_gives_the_same_bytes(self, project, monkeypatch, capsys):
        for folder in ("one", "two"):
            here(project, monkeypatch, capsys, "prefs", "collect", "--seed", "5", "--out", folder)
        for name in ("segments.npz", "labels.jsonl", "meta.json"):
            assert (project.root / "one" / name).read_bytes() == (project.root / "two" / name).read_bytes()
