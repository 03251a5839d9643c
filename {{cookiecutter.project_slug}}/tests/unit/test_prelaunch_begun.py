"""Gates that were broken off: the answers given are offered again, and none is lost."""

from __future__ import annotations

import pytest
from gate_examples import COMPLETE, begun, break_tracking, config, run_gate, stored

from repro.reading import UserError

LOOP = ["q", "o", "1", "too few labels", "accepted", "that is the question", "very", "0.4"]


def break_off(root, typed, **options):
    with pytest.raises(UserError, match="nothing was started, and the answers are kept for the next time"):
        run_gate(root, typed, **options)


@pytest.mark.parametrize("answered", range(1, len(LOOP)))
def test_enter_takes_each_answer_given_before(root, answered):
    break_off(root, LOOP[:answered])
    assert len(begun(root)[0]) == answered
    record, said = run_gate(root, [""] * answered + LOOP[answered:])
    assert f"Going on with {answered} answer" in said and said.count("(Enter: as before)") == answered
    assert record["answers"] == {"question": "q", "outcomes": "o"}
    assert record["prediction"] == {
        "failure_probability": 0.4,
        "surprise": "very",
        "causes": [{"cause": "too few labels", "response": "accepted", "reason": "that is the question"}],
    }
    assert begun(root) == []


def test_ctrl_c_says_what_becomes_of_the_answers(root):
    said, typed = [], ["q"]

    def ask(_):
        if not typed:
            raise KeyboardInterrupt
        return typed.pop()

    with pytest.raises(KeyboardInterrupt):
        run_gate(root, ask=ask, say=said.append)
    assert said[-1] == "\nstopped; nothing was started, and the answers are kept for the next time"
    assert begun(root) == [{"answers.question": "q"}]


def test_another_answer_takes_the_place_of_the_one_before(root):
    break_off(root, COMPLETE[:2])
    break_off(root, ["Another question?"])
    assert begun(root) == [{"answers.question": "Another question?", "answers.outcomes": COMPLETE[1]}]
    record, _ = run_gate(root, ["", "new", "very", "0.5"])
    assert record["answers"] == {"question": "Another question?", "outcomes": "new"}


def test_with_other_code_or_parameters_only_the_checklists_questions_are_offered(root):
    break_tracking(root)
    break_off(root, ["no need", *LOOP[:5]])
    record, said = run_gate(root, ["no need", "", "", "4", "0"], config("agent.discount=0.99"))
    assert "Going on with 2 answers given before, for other code or parameters." in said
    assert said.count("(Enter: as before)") == 2 and begun(root) == []
    assert record["answers"] == {"question": "q", "outcomes": "o"} and record["prediction"]["causes"] == []


def test_one_that_goes_while_this_one_looks_is_passed_over(root):
    break_off(root, LOOP[:2])
    (root / "runs/.gate/0123.begun.json").symlink_to("gone")  # listed, and not there any more
    record, _ = run_gate(root, ["", "", "very", "0"], config("agent.discount=0.99"))
    assert record["answers"] == {"question": "q", "outcomes": "o"}


def test_of_two_gates_each_goes_on_with_its_own(root):
    other = config("agent.discount=0.99")
    break_off(root, ["q1", "o1"])
    break_off(root, ["q2"], parameters=other)  # takes over what was begun
    assert begun(root) == [{"answers.question": "q2", "answers.outcomes": "o1"}]
    break_off(root, ["q3"], parameters=config("agent.discount=0.98"))
    record, _ = run_gate(root, ["", "", "very", "0"], config("agent.discount=0.98"))
    assert record["answers"] == {"question": "q3", "outcomes": "o1"}


def test_what_was_kept_and_does_not_fit_any_more_is_asked_as_if_it_were_new(root):
    break_off(root, COMPLETE[:3])
    (path,) = (root / "runs/.gate").glob("*.begun.json")
    path.write_text(path.read_text().replace('"very"', '"a lot"'))
    record, said = run_gate(root, ["", "", "", "very", "0.5"])
    assert said.count("(Enter: as before)") == 2 and record["prediction"]["surprise"] == "very"


@pytest.mark.parametrize("content", ["{", "[]", '{"answers.question": 3}', "\0"])
def test_a_damaged_file_is_named_and_left_alone(root, content):
    break_off(root, COMPLETE[:2])
    (path,) = (root / "runs/.gate").glob("*.begun.json")
    path.write_text(content)
    for parameters in (config(), config("agent.discount=0.99")):
        with pytest.raises(UserError, match=r"begun\.json: .*; delete it and answer again"):
            run_gate(root, COMPLETE, parameters)
    assert path.read_text() == content and stored(root) == []


def test_a_skipped_gate_and_an_answers_file_leave_it_alone(root):
    break_off(root, COMPLETE[:2])
    run_gate(root, skip="for once")
    assert len(begun(root)[0]) == 2
