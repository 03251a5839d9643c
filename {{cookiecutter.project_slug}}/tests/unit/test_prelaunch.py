"""The pre-launch gate: what passes, what is stored, what is refused, and with which line."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.config import UserError, load_config
from repro.workflow import prelaunch
from repro.workflow.checklist import read_checklist, write_answers_template

PROJECT = Path(__file__).parents[2]
CHECKLIST = """
questions:
  - {id: question, ask: Which question?, why: w}
  - {id: outcomes, ask: "What would it mean: yes?", why: w}
checks:
  tracking: {runs: all, failure: blocks}
  seeds: {runs: all, failure: warns}
"""
CODE = "00000000000012e5"  # a number, were it not quoted
COMPLETE = ["Does it learn?", "yes: on; no: debug", "3", "0.2"]


def config(*overrides):
    return load_config(
        PROJECT / "presets" / "moving-dot.yaml", ["reward.source=environment", "seeds.final=[0]", *overrides]
    )


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    (tmp_path / "pyproject.toml").write_text('[tool.repro.wandb]\nmode = "offline"\n')
    (tmp_path / "checklists").mkdir()
    (tmp_path / "checklists" / "prelaunch.yaml").write_text(CHECKLIST)
    return tmp_path


def run_gate(root, typed=None, parameters=None, minutes=60.0, **options):
    """The gate with scripted answers; a question too many ends like a closed terminal. All must be used."""
    typed = list(typed or [])
    said = []

    def ask(prompt):
        said.append(prompt)
        if not typed:
            raise EOFError
        return typed.pop(0)

    options = {
        "code_hash": CODE,
        "estimate_minutes": minutes,
        "interactive": True,
        "ask": ask,
        "say": said.append,
    } | options
    record = prelaunch.run_gate(root, parameters or config(), **options)
    assert typed == []
    return record, "\n".join(said)


def stored(root):
    return sorted(path.name for path in (root / "runs" / ".gate").glob("*")) if (root / "runs").exists() else []


def break_tracking(root):
    (root / "pyproject.toml").write_text('[tool.repro.wandb]\nmode = "sometimes"\n')


def test_a_short_run_is_asked_nothing(root):
    assert run_gate(root, minutes=30.0)[0] == {"passed": "below threshold", "estimate_minutes": 30.0}
    assert stored(root) == []


def test_the_answers_are_stored_with_the_run_and_found_again(root):
    record, said = run_gate(root, COMPLETE)
    assert record["passed"] == "answered"
    assert record["question"] == "Does it learn?"
    assert record["answers"] == {"question": "Does it learn?", "outcomes": "yes: on; no: debug"}
    assert record["prediction"] == {"failure_probability": 0.2, "surprise": "very", "causes": []}
    assert [(check["name"], check["passed"], check["accepted"]) for check in record["checks"]] == [
        ("tracking", True, None),
        ("seeds", False, None),  # a warning: needs no acceptance
    ]
    assert "warning seeds" in said
    assert (record["code_hash"], record["skip_reason"]) == (CODE, None)
    assert stored(root) == [f"{record['gate_key']}.json"]
    again, said = run_gate(root, [], minutes=90.0)
    assert again == record and "was passed" in said
    assert run_gate(root, [], config("seeds.final=[1, 2]"), interactive=False)[0] == record


def test_other_code_or_parameters_are_asked_anew(root):
    run_gate(root, COMPLETE)
    for changes in ({"code_hash": "other"}, {"parameters": config("agent.discount=0.99")}, {"always": True}):
        with pytest.raises(UserError, match="broken off"):
            run_gate(root, **changes)
    assert run_gate(root, COMPLETE, code_hash="other")[0]["passed"] == "answered"
    assert len(stored(root)) == 2
    assert prelaunch.gate_key(CODE, config()) == prelaunch.gate_key(CODE, config("gate.after_minutes=1"))


def test_it_loops_until_a_failure_would_be_a_surprise(root):
    typed = [
        "q",
        "o",
        "1",
        "labels too few",
        "accepted",
        "that is the question",
        "some",
        "lr",
        "1",
        "swept it",
        "4",
        "1",
    ]
    record, said = run_gate(root, typed)
    assert record["prediction"] == {
        "failure_probability": 1.0,
        "surprise": "as surprised as I can get",
        "causes": [
            {"cause": "labels too few", "response": "accepted", "reason": "that is the question"},
            {"cause": "lr", "response": "fixed", "reason": "swept it"},
        ],
    }
    assert said.count("How surprised would you be") == 3


def test_empty_and_senseless_answers_are_asked_again(root):
    typed = ["", "  ", "q", "o", "", "5", "surprised", "very", "no", "-0.1", "1.1", "nan", "", ".5"]
    record, said = run_gate(root, typed)
    assert record["answers"]["question"] == "q"
    assert record["prediction"]["failure_probability"] == 0.5
    assert said.count("Choose: ") == 4 and said.count("Probability: ") == 6


def test_a_failed_check_needs_a_reason(root):
    break_tracking(root)
    record, said = run_gate(root, ["", "metrics.jsonl will do", *COMPLETE])
    assert "FAILED  tracking" in said and "what to do: correct [tool.repro.wandb]" in said
    check = record["checks"][0]
    assert (check["passed"], check["accepted"]) == (False, "metrics.jsonl will do")


@pytest.mark.parametrize("answered", range(4))
def test_breaking_off_stores_nothing(root, answered):
    with pytest.raises(UserError, match="broken off"):
        run_gate(root, COMPLETE[:answered])
    assert stored(root) == []


def test_without_a_terminal_it_says_what_to_give(root):
    with pytest.raises(UserError, match=r"60 minutes.*--answers FILE.*--skip REASON"):
        run_gate(root, interactive=False)


def test_skipping_is_recorded_and_found_again(root):
    record, _ = run_gate(root, interactive=False, skip_reason=" repeats yesterday's ")
    assert (record["passed"], record["skip_reason"]) == ("skipped", "repeats yesterday's")
    again, said = run_gate(root, interactive=False)
    assert again == record and "skipped" in said and "repeats yesterday's" in said
    assert run_gate(root, COMPLETE, always=True)[0]["passed"] == "answered"
    with pytest.raises(UserError, match="--skip"):
        run_gate(root, skip_reason=" ")
    with pytest.raises(UserError, match="not both"):
        run_gate(root, skip_reason="x", answers_file=root / "a.yaml")


def write_answers(root, **changes):
    """A complete answers file, made from the template; `changes` replace lines that start with a key."""
    path = root / "answers.yaml"
    path.unlink(missing_ok=True)
    write_answers_template(path, read_checklist(root), CODE, prelaunch.gate_key(CODE, config()))
    lines = {
        "  question": "  question: Does it learn?",
        "  outcomes": "  outcomes: |\n    yes: on\n    no: debug",
        "surprise": "surprise: very",
        "failure_probability": "failure_probability: 0",
    } | changes
    text = path.read_text()
    for key, line in lines.items():
        old = next(existing for existing in text.splitlines() if existing.startswith(f"{key}:"))
        text = text.replace(old, line, 1)
    path.write_text(text)
    return path


def test_an_answers_file_passes_without_a_terminal(root):
    record, _ = run_gate(root, interactive=False, answers_file=write_answers(root))
    assert record["answers"] == {"question": "Does it learn?", "outcomes": "yes: on\nno: debug"}
    assert record["prediction"] == {"failure_probability": 0.0, "surprise": "very", "causes": []}
    assert run_gate(root, interactive=False)[0] == record


def test_an_answers_file_as_it_was_written_names_all_that_is_missing(root):
    path = root / "a.yaml"
    write_answers_template(path, read_checklist(root), CODE, prelaunch.gate_key(CODE, config()))
    with pytest.raises(UserError) as error:
        run_gate(root, interactive=False, answers_file=path)
    for name in ("answers.question", "answers.outcomes", "surprise", "failure_probability"):
        assert name in str(error.value)
    with pytest.raises(UserError, match="exists already"):
        write_answers_template(path, read_checklist(root), CODE, "key")


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"code_hash": "code_hash: '1'"}, "stale: written for other code"),
        ({"gate_key": "gate_key: '1'"}, "stale: written for other parameters"),
        ({"  outcomes": ""}, "answers: missing: outcomes"),
        ({"  outcomes": "  outcome: x"}, "answers: unknown entry 'outcome'; did you mean 'outcomes'?"),
        ({"  question": "  question: 12"}, "answers.question: 12 is not a text"),
        ({"surprise": "surprise: somewhat"}, "surprise: 'somewhat' is too little"),
        ({"surprise": "surprise: a lot"}, "surprise: 'a lot' will not do"),
        ({"failure_probability": "failure_probability: 20%"}, "failure_probability: '20%' will not do"),
        ({"failure_probability": "failure_probability: .nan"}, "failure_probability: nan will not do"),
        ({"failure_probability": "failure_probability: true"}, "failure_probability: True will not do"),
        ({"causes": "causes: [{cause: c, response: accepted, reason: ''}]"}, "not answered: causes[0].reason"),
        ({"causes": "causes: [{cause: c, response: maybe, reason: r}]"}, "causes[0].response: 'maybe' will not do"),
        ({"causes": "causes: [{cause: c}]"}, "causes[0]: missing: response, reason"),
        ({"causes": "causes: none"}, "causes: expected a list"),
        ({"accept": "accept: {seed: x}"}, "accept.seed: no such check; did you mean 'seeds'?"),
        ({"accept": "accept: {seeds: }"}, "not answered: accept.seeds"),
        ({"accept": "accept: {seeds: [}"}, "not valid YAML"),
        ({"accept": ""}, "missing: accept"),
    ],
)
def test_a_faulty_answers_file_is_refused_in_one_line(root, changes, line):
    with pytest.raises(UserError) as error:
        run_gate(root, interactive=False, answers_file=write_answers(root, **changes))
    assert line in str(error.value) and "answers.yaml" in str(error.value) and "\n" not in str(error.value)
    assert stored(root) == []


def test_an_answers_file_must_accept_what_fails(root):
    break_tracking(root)
    with pytest.raises(UserError, match=r"failed checks: tracking: .*sometimes.*accept\.tracking"):
        run_gate(root, interactive=False, answers_file=write_answers(root))
    path = write_answers(root, accept="accept: {tracking: fine}")
    assert run_gate(root, interactive=False, answers_file=path)[0]["checks"][0]["accepted"] == "fine"


def test_a_missing_answers_file_says_how_to_make_one(root):
    with pytest.raises(UserError, match=r"no\.yaml: no such file; repro prelaunch --write-answers"):
        run_gate(root, answers_file=root / "no.yaml")


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"gate_key": "other", "passed": "answered"}', b"\xff"])
def test_a_damaged_pass_is_named(root, content):
    record, _ = run_gate(root, COMPLETE)
    path = root / "runs" / ".gate" / stored(root)[0]
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"delete it and pass the gate again"):
        prelaunch.find_pass(root, record["gate_key"])


@pytest.mark.parametrize(
    "old, new, line",
    [
        ("tracking:", "trakcing:", "checks.trakcing: no such check; did you mean 'tracking'?"),
        ("runs: all", "runs: some", "checks.tracking.runs: 'some' will not do; write one of: all, learned"),
        ("failure: warns", "failure: stops", "checks.seeds.failure: 'stops'"),
        ("failure: warns", "x: 1", "checks.seeds: unknown entry 'x'"),
        ("id: question", "id: query", "none has the id 'question'"),
        ("id: outcomes", "id: question", "'question' is the id of more than one"),
        ("id: outcomes", "id: Out comes", "questions[1].id: 'Out comes' will not do"),
        ("ask: Which question?", "ask: ''", "questions[0].ask: is empty"),
        ("ask: Which question?, ", "", "questions[0]: missing: ask"),
        ("questions:", "question:", "unknown entry 'question'; did you mean 'questions'?"),
        ("checks:", "checks: [", "not valid YAML"),
    ],
)
def test_a_faulty_checklist_is_refused_in_one_line(root, old, new, line):
    path = root / "checklists" / "prelaunch.yaml"
    path.write_text(CHECKLIST.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        read_checklist(root)
    assert line in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_checklist_is_named(root):
    (root / "checklists" / "prelaunch.yaml").unlink()
    with pytest.raises(UserError, match="no such file"):
        run_gate(root)


def test_checks_for_learned_rewards_leave_others_alone(root):
    path = root / "checklists" / "prelaunch.yaml"
    path.write_text(CHECKLIST.replace("seeds: {runs: all", "seeds: {runs: learned"))
    record, _ = run_gate(root, COMPLETE)
    assert [check["name"] for check in record["checks"]] == ["tracking"]


def test_the_shipped_checklist_is_sound():
    checklist = read_checklist(PROJECT)
    assert [question.id for question in checklist.questions][:2] == ["question", "outcomes"]
    assert "device" in checklist.checks


GATE_IN_A_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C there becomes a SIGINT here ...
signal.signal(signal.SIGINT, signal.default_int_handler)  # ... also where the tests run in the background
sys.path[:0] = [sys.argv[2]]
from test_prelaunch import CODE, config
from repro.workflow import prelaunch
try:
    prelaunch.run_gate(sys.argv[1], config(), code_hash=CODE, estimate_minutes=60.0, interactive=sys.stdin.isatty())
except KeyboardInterrupt:
    os._exit(130)
"""


class Terminal:
    """The gate in a process of its own, on a real pseudo-terminal."""

    def __init__(self, root):
        self.fd, side = pty.openpty()
        command = [sys.executable, "-c", GATE_IN_A_TERMINAL, str(root), str(Path(__file__).parent)]
        self.process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, start_new_session=True)
        os.close(side)
        self.seen = ""

    def wait_for(self, text, seconds=20.0):
        end = time.monotonic() + seconds
        start = len(self.seen)
        while text not in self.seen[start:]:
            assert time.monotonic() < end, f"no {text!r} in {self.seen!r}"
            if select.select([self.fd], [], [], 0.2)[0]:
                self.seen += os.read(self.fd, 4096).decode()

    def type(self, line):
        os.write(self.fd, line.encode() + b"\n")


def test_on_a_real_terminal(root):
    terminal = Terminal(root)
    for prompt, answer in zip(("Answer: ", "Answer: ", "Choose: ", "Probability: "), COMPLETE, strict=True):
        terminal.wait_for(prompt)
        terminal.type(answer)
    assert terminal.process.wait(20) == 0
    record = json.loads((root / "runs" / ".gate" / stored(root)[0]).read_text())
    assert record["question"] == "Does it learn?"


def test_ctrl_c_on_a_real_terminal_stores_nothing(root):
    terminal = Terminal(root)
    terminal.wait_for("Answer: ")
    terminal.type("Does it learn?")
    terminal.wait_for("Answer: ")
    for _ in range(40):  # one that arrives just before input() blocks is noticed with the next
        os.write(terminal.fd, b"\x03")
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert terminal.process.wait(0.5) == 130
            break
    assert terminal.process.returncode == 130
    assert stored(root) == []
