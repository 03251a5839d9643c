"""The pre-launch gate and a person: what is asked, what passes, what is stored; on a real terminal, too."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import pty
import select
import signal
import sys
import termios
import time

import pytest
from gate_examples import CODE, COMPLETE, begun, break_tracking, config, run_gate, stored

from repro.config import parse_config
from repro.device import resolve_auto
from repro.gate import prelaunch
from repro.gate.checklist import SURPRISE
from repro.gate.dialogue import Dialogue
from repro.reading import UserError


def key(parameters):
    return prelaunch.key_of(CODE, prelaunch.launched_params(parameters))


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
    assert key(config()) == key(config("gate.after_minutes=1"))


def test_auto_is_what_it_comes_to_on_this_machine():
    auto = config("training.device=auto", "training.precision=auto")
    resolved = parse_config(resolve_auto(auto))  # as a run records it, and its rerun asks
    assert "auto" not in resolved.training.model_dump().values()
    assert key(auto) == key(resolved)
    others = {"float32", "bfloat16"} - {resolved.training.precision}
    assert key(auto) != key(config(f"training.precision={others.pop()}"))


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


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("not very", "not"),
        ("Not at all", "not"),
        ("n", "not"),
        ("some", "somewhat"),
        ("somewhat  surprised", "somewhat"),
        ("3", "very"),
        ("VERY much", "very"),
        ("as surprised as I can get", "as surprised as I can get"),
        ("As surprised", "as surprised as I can get"),
    ],
)
def test_a_choice_is_made_by_number_by_beginning_and_in_full_words(root, typed, meant):
    said = []
    dialogue = Dialogue(root / "gate", "key", lambda _: typed, said.append)
    assert dialogue.choice("surprise.1", SURPRISE) == meant
    assert said == ["  1 not   2 somewhat   3 very   4 as surprised as I can get"]


def test_empty_and_senseless_answers_are_asked_again(root):
    typed = [
        "",
        "  ",
        "q",
        "o",
        "",
        "5",
        "surprised",
        "very",
        "no",
        "-0.1",
        "1.1",
        "nan",
        "1,5",
        "120%",
        "1e400",
        "",
        "%",
        "50%",
    ]
    record, said = run_gate(root, typed)
    assert record["answers"]["question"] == "q"
    assert record["prediction"]["failure_probability"] == 0.5
    assert said.count("Choose: ") == 4 and said.count("Probability: ") == 10


def test_a_failed_check_needs_a_reason(root):
    break_tracking(root)
    record, said = run_gate(root, ["", "no", "q", " x ", "metrics.jsonl will do", *COMPLETE])
    assert "FAILED  tracking" in said and "what to do: correct [tool.repro.wandb]" in said
    assert said.count("A reason has two words at least") == 4
    check = record["checks"][0]
    assert (check["passed"], check["accepted"]) == (False, "metrics.jsonl will do")


@pytest.mark.parametrize("answered", range(4))
def test_breaking_off_passes_nothing(root, answered):
    with pytest.raises(UserError, match="broken off"):
        run_gate(root, COMPLETE[:answered])
    assert stored(root) == []


def test_without_a_terminal_it_says_what_to_give(root):
    with pytest.raises(UserError, match=r"about 1.00 h .*repro prelaunch.*--answers FILE or --skip REASON"):
        run_gate(root, interactive=False)


def test_skipping_after_a_pass_concerns_one_run_alone(root):
    passed, _ = run_gate(root, COMPLETE)
    skipped, _ = run_gate(root, interactive=False, skip="a kill test")
    assert (skipped["passed"], skipped["skip_reason"]) == ("skipped", "a kill test") and "prediction" not in skipped
    again, said = run_gate(root, interactive=False)
    assert again == passed and f"{passed['prediction']['failure_probability']:.0%} to fail" in said


def test_skipping_beforehand_does_not_take_answers_away(root):
    passed, _ = run_gate(root, COMPLETE, always=True)
    again, said = run_gate(root, interactive=False, skip="no time", always=True)
    assert again == passed and "20% to fail" in said
    assert run_gate(root, interactive=False)[0] == passed


def test_skipping_is_recorded_and_found_again(root):
    record, _ = run_gate(root, interactive=False, skip=" repeats yesterday's ")
    assert (record["passed"], record["skip_reason"]) == ("skipped", "repeats yesterday's")
    again, said = run_gate(root, interactive=False)
    assert again == record and said == (
        f"The gate was skipped for this code and these parameters on {record['decided'][:10]}; "
        "nothing was checked, for this reason: repeats yesterday's."
    )
    assert run_gate(root, COMPLETE, always=True)[0]["passed"] == "answered"
    with pytest.raises(UserError, match="--skip"):
        run_gate(root, skip=" ")
    with pytest.raises(UserError, match="not both"):
        run_gate(root, skip="x", answers=root / "a.yaml")


def gate_in_a_terminal(root, terminal, side):
    """What a process of its own does: pass the gate on the terminal of which `side` is the other end."""
    os.close(terminal)  # only the test has it
    os.setsid()
    fcntl.ioctl(side, termios.TIOCSCTTY, 0)  # Ctrl-C there becomes a SIGINT here ...
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ... also where the tests run in the background
    for standard in range(3):
        os.dup2(side, standard)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    try:
        prelaunch.pass_gate(root, config(), CODE, prelaunch.Given(), 60.0)
    except KeyboardInterrupt:
        os._exit(130)


class Terminal:
    """The gate in a process of its own, on a real pseudo-terminal; as a fork, it need not load PyTorch."""

    def __init__(self, root):
        self.fd, side = pty.openpty()
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=gate_in_a_terminal, args=(root, self.fd, side))
        self.process.start()
        os.close(side)
        self.seen = ""

    def end(self, seconds=20.0):
        """Its exit code, None if it has not ended by then."""
        self.process.join(seconds)
        return self.process.exitcode

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
    assert terminal.end() == 0
    record = json.loads((root / "runs" / ".gate" / stored(root)[0]).read_text())
    assert record["question"] == "Does it learn?"


def test_ctrl_c_on_a_real_terminal_keeps_the_answers_and_passes_nothing(root):
    terminal = Terminal(root)
    terminal.wait_for("Answer: ")
    terminal.type("Does it learn?")
    terminal.wait_for("Answer: ")
    for _ in range(40):  # one that arrives just before input() blocks is noticed with the next
        os.write(terminal.fd, b"\x03")
        if terminal.end(0.5) is not None:
            break
    assert terminal.end(0) == 130
    assert stored(root) == [] and begun(root) == [{"answers.question": "Does it learn?"}]


@pytest.mark.parametrize("end", ["killed", "closed"])
def test_a_killed_gate_and_a_closed_terminal_keep_the_answers(root, end):
    terminal = Terminal(root)
    for number in range(2):
        terminal.wait_for("Answer: ")
        terminal.type(f"answer {number}")
    terminal.wait_for("Choose: ")
    if end == "killed":
        terminal.process.kill()
    else:
        os.close(terminal.fd)
    assert terminal.end() not in (0, None)
    assert stored(root) == [] and begun(root) == [{"answers.question": "answer 0", "answers.outcomes": "answer 1"}]
    again = Terminal(root)
    prompts = ("before): ", "before): ", "Choose: ", "Probability: ")
    for prompt, answer in zip(prompts, ("", "", "very", "0.5"), strict=True):
        again.wait_for(prompt)
        again.type(answer)
    assert again.end() == 0 and begun(root) == []


def test_a_question_given_with_the_command_is_shown_and_not_asked(root):
    record, said = run_gate(root, COMPLETE[1:], question=" Does it\x1b[2J learn? ")
    assert record["question"] == record["answers"]["question"] == "Does it\x1b[2J learn?"
    assert "\nQuestion 1 of 2: Which question?\n  Does it[2J learn?\n" in said and said.count("Answer: ") == 1
    assert run_gate(root, COMPLETE, question=" ", always=True)[0]["question"] == "Does it learn?"
