"""The files of the pre-launch gate: answers, stored passes and checklists, and the line that refuses each."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys

import pytest
from gate_examples import CHECKLIST, CODE, COMPLETE, break_tracking, config, run_gate, stored

from repro.gate import prelaunch
from repro.gate.checklist import read_checklist, write_answers_template
from repro.reading import UserError


def write_answers(root, **changes):
    """A complete answers file, made from the template; `changes` replace lines that start with a key."""
    path = root / "answers.yaml"
    path.unlink(missing_ok=True)
    write_answers_template(path, read_checklist(root), CODE, prelaunch.launched_params(config()))
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
    record, _ = run_gate(root, interactive=False, answers=write_answers(root))
    assert record["answers"] == {"question": "Does it learn?", "outcomes": "yes: on\nno: debug"}
    assert record["prediction"] == {"failure_probability": 0.0, "surprise": "very", "causes": []}
    assert run_gate(root, interactive=False)[0] == record


def test_a_question_given_with_the_command_fills_in_what_the_file_leaves_empty(root):
    options = {"interactive": False, "question": "Given?"}
    record, _ = run_gate(root, answers=write_answers(root), **options)
    assert record["question"] == "Does it learn?"
    record, _ = run_gate(root, answers=write_answers(root, **{"  question": "  question:"}), **options)
    assert record["question"] == record["answers"]["question"] == "Given?"
    with pytest.raises(UserError, match=r"not answered: answers\.outcomes"):
        run_gate(root, answers=write_answers(root, **{"  outcomes": "  outcomes:"}), **options)


def test_an_answers_file_as_it_was_written_names_all_that_is_missing(root):
    path = root / "a.yaml"
    write_answers_template(path, read_checklist(root), CODE, prelaunch.launched_params(config()))
    with pytest.raises(UserError) as error:
        run_gate(root, interactive=False, answers=path)
    for name in ("answers.question", "answers.outcomes", "surprise", "failure_probability"):
        assert name in str(error.value)
    with pytest.raises(UserError, match="exists already"):
        write_answers_template(path, read_checklist(root), CODE, {})


def test_a_full_disk_leaves_no_half_written_answers_file(root):
    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    script = (
        "import sys; from pathlib import Path; from repro.gate.checklist import *\n"
        "checklist = Checklist.model_construct(questions=[], checks={})\n"
        "try: write_answers_template(Path(sys.argv[1]), checklist, '0', {'env': {}})\n"
        "except UserError as error: print(error)"
    )
    path = root / "answers.yaml"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, preexec_fn=full)
    assert "answers.yaml: the disk is full" in done.stdout and not list(root.glob("*answers*"))


@pytest.mark.parametrize(
    "changes, line",
    [
        ({"code_hash": "code_hash: '1'"}, "stale: written for other code"),
        ({"  name": "  name: 1"}, 'stale: written for other parameters (name 1, now "moving-dot")'),
        ({"  name": "  name: 2024-01-01"}, 'name "2024-01-01", now "moving-dot"'),
        ({"parameters": "parameter:"}, "parameter: unknown entry; did you mean 'parameters'?"),
        ({"  outcomes": ""}, "not answered: answers.outcomes"),
        ({"  outcomes": "  outcome: x"}, "answers.outcome: no such question; did you mean 'outcomes'?"),
        ({"  question": "  question: 12"}, "answers.question: 12 will not do: input should be a valid string"),
        ({"surprise": "surprise: somewhat"}, "surprise: 'somewhat' is too little"),
        ({"surprise": "surprise: a lot"}, 'surprise: "a lot" will not do'),
        ({"failure_probability": "failure_probability: 20%"}, 'failure_probability: "20%" will not do'),
        ({"failure_probability": "failure_probability: .nan"}, "failure_probability: NaN will not do"),
        ({"failure_probability": "failure_probability: true"}, "failure_probability: true will not do"),
        ({"causes": "causes: [{cause: c, response: accepted, reason: ''}]"}, "not answered: causes[0].reason"),
        ({"causes": "causes: [{cause: c, response: maybe, reason: r}]"}, 'causes[0].response: "maybe" will not do'),
        ({"causes": "causes: [{cause: c}]"}, "causes[0].response: missing"),
        ({"causes": "causes: none"}, 'causes: "none" will not do: input should be a valid list'),
        ({"accept": "accept: {seed: x}"}, "accept.seed: no such check; did you mean 'seeds'?"),
        ({"accept": "accept: {seeds: no}"}, "accept.seeds: 'no' is no reason; write two words at least"),
        ({"accept": "accept: {seeds: }"}, "not answered: accept.seeds"),
        ({"accept": "accept: {seeds: [}"}, "not valid YAML"),
        ({"accept": ""}, "accept: missing"),
    ],
)
def test_a_faulty_answers_file_is_refused_in_one_line(root, changes, line):
    with pytest.raises(UserError) as error:
        run_gate(root, interactive=False, answers=write_answers(root, **changes))
    assert line in str(error.value) and "answers.yaml" in str(error.value) and "\n" not in str(error.value)
    assert stored(root) == []


@pytest.mark.parametrize(
    "overrides, code, line",
    [
        ([], "other", "stale: written for other code; make a new one"),
        (["agent.discount=0.99"], CODE, "written for other parameters (agent.discount 0.9, now 0.99); make a new one"),
        (["agent.discount=0.99"], "other", "for other code and parameters (agent.discount 0.9, now 0.99); make"),
        (
            [
                f"agent.{name}=4"
                for name in ("value_coefficient", "max_gradient_norm", "epochs", "minibatches", "clip_range")
            ],
            CODE,
            "(agent.epochs 3, now 4; agent.minibatches 8, now 4; agent.clip_range 0.2, now 4.0 and 2 more); make",
        ),
    ],
)
def test_a_stale_answers_file_says_what_it_was_written_for(root, overrides, code, line):
    with pytest.raises(UserError) as error:
        prelaunch.check_given(root, config(*overrides), code, prelaunch.Given(write_answers(root)))
    assert line in str(error.value)


def test_an_answers_file_fits_runs_that_differ_in_seeds_and_the_gate_only(root):
    small = config("agent.learning_rate=1e-05", "seeds.final=[5]", "gate.after_minutes=0")  # 1e-05 has no dot
    path = root / "small.yaml"
    write_answers_template(
        path, read_checklist(root), CODE, prelaunch.launched_params(config("agent.learning_rate=1e-05"))
    )
    with pytest.raises(UserError, match="not answered"):
        prelaunch.check_given(root, small, CODE, prelaunch.Given(path))


def test_an_answers_file_must_accept_what_fails(root):
    break_tracking(root)
    with pytest.raises(UserError, match=r"failed checks: tracking: .*sometimes.*accept\.tracking"):
        run_gate(root, interactive=False, answers=write_answers(root))
    path = write_answers(root, accept="accept: {tracking: corrected later}")
    assert run_gate(root, interactive=False, answers=path)[0]["checks"][0]["accepted"] == "corrected later"


def test_a_missing_answers_file_says_how_to_make_one(root):
    with pytest.raises(UserError, match=r"no\.yaml: no such file; repro prelaunch --write-answers"):
        run_gate(root, answers=root / "no.yaml")


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"gate_key": "other", "passed": "answered"}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_pass_is_named(root, content):
    record, _ = run_gate(root, COMPLETE)
    path = root / "runs" / ".gate" / stored(root)[0]
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"delete it and pass the gate again"):
        prelaunch.find_pass(root, record["gate_key"])


def test_a_pass_that_cannot_be_kept_is_one_line(root):
    (root / "runs").touch()  # no folder
    with pytest.raises(UserError, match=r"runs/\.gate: cannot be written"):
        run_gate(root, interactive=False, skip="the same as yesterday", always=True)


@pytest.mark.parametrize(
    "fields", [{"decided": None}, {"passed": True}, {"passed": "skipped"}, {"passed": "no"}, {"estimate_minutes": "1"}]
)
def test_a_pass_that_does_not_say_how_and_when_is_none(root, fields):
    run_gate(root, COMPLETE)
    path = root / "runs" / ".gate" / stored(root)[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(UserError, match="not the record of a passed gate; delete it"):
        run_gate(root)


@pytest.mark.parametrize(
    "old, new, line",
    [
        ("tracking:", "trakcing:", "checks.trakcing: no such check; did you mean 'tracking'?"),
        ("runs: all", "runs: some", "checks.tracking.runs: \"some\" will not do: input should be 'all' or"),
        ("failure: warns", "failure: stops", 'checks.seeds.failure: "stops"'),
        ("failure: warns", "x: 1", "checks.seeds.x: unknown entry"),
        ("id: question", "id: query", "none has the id 'question'"),
        ("id: outcomes", "id: question", "'question' is the id of more than one"),
        ("id: outcomes", "id: Out comes", 'questions[1].id: "Out comes" will not do'),
        ("ask: Which question?", "ask: ''", 'questions[0].ask: "" will not do'),
        ("ask: Which question?, ", "", "questions[0].ask: missing"),
        ("questions:", "question:", "question: unknown entry; did you mean 'questions'?"),
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
