"""Predictions against outcomes: scores by hand, bins, causes ranked, the question to ask next; few runs, odd text."""

from __future__ import annotations

import pytest
from ledger_examples import closed, make_project, prediction, record

from repro.accounts import calibration
from repro.accounts.calibration import Cause, next_question, question_id, question_yaml
from repro.accounts.calibration_text import _bar, format_calibration, write_reliability_plot
from repro.gate.checklist import read_checklist
from repro.reading import UserError
from repro.tracking.archive import this_process
from repro.tracking.index import summarise


def run(code, probability, outcome, cause=None, foreseen=None, **fields):
    """A closed run with a prediction, or without if the probability is None."""
    made = None if probability is None else prediction(probability)
    return record(code, prediction=made, closed=closed(outcome, cause, foreseen), **fields)


def calibrate(records):
    """Of whole records, as they are summarised."""
    return calibration.calibrate(run if run["status"] == "unreadable" else summarise(run) for run in records)


FOUR = [
    run("a", 0.1, "succeeded", gate={"decided": 1}),
    run("b", 0.1, "failed", "lr", False, gate={"decided": 1}, seed=101),
    run("c", 0.8, "failed", "labels too few", 0, gate={"decided": 2}),
    run("d", 1.0, "failed", "lr ", None, gate={"decided": 3}),
]


def test_brier_scores_by_hand():
    found = calibrate(FOUR)
    assert (found.n, found.failed, found.passes) == (4, 3, 3)
    assert found.brier == pytest.approx((0.1**2 + 0.9**2 + 0.2**2 + 0.0**2) / 4)  # 0.215
    assert found.brier_base_rate == pytest.approx((3 * 0.25**2 + 0.75**2) / 4)  # 0.1875
    assert (found.failures_foreseen, found.failures_judged) == (1, 2)  # of the third nobody has said


def test_a_run_launched_again_with_the_same_seed_uses_its_prediction_once():
    again = [*FOUR, run("e", 0.1, "succeeded", gate={"decided": 1}, seed=101)]
    found = calibrate(again)
    assert (found.n, found.failed, found.passes) == (4, 2, 3)  # the latest counts
    assert found.brier == pytest.approx((0.1**2 + 0.1**2 + 0.2**2 + 0.0**2) / 4)


def test_each_ablation_of_a_launch_uses_its_prediction():
    """They share the gate: the whole method's outcome is not replaced by that of an ablation of its seed."""
    launched = [
        run("a", 0.1, "succeeded", gate={"decided": 1}),
        run("b", 0.1, "failed", "lr", False, gate={"decided": 1}, ablation="no-ensemble"),
    ]
    found = calibrate(launched)
    assert (found.n, found.failed, found.passes) == (2, 1, 1)
    assert found.brier == pytest.approx((0.1**2 + 0.9**2) / 2)


def test_bins_with_their_intervals():
    low, middle, high = calibrate([*FOUR, run("e", 0.2, "succeeded")]).bins
    assert [(one.low, one.high, one.n, one.failed) for one in (low, middle, high)] == [
        (0.0, 0.2, 2, 1),
        (0.2, 0.4, 1, 0),  # 0.2 belongs here
        (0.8, 1.0, 2, 2),  # and 1.0 here
    ]
    assert [one.predicted for one in (low, middle, high)] == pytest.approx([0.1, 0.2, 0.9])
    assert low.interval == pytest.approx((0.0945, 0.9055), abs=1e-4)  # Wilson, 1 of 2
    assert middle.interval == pytest.approx((0.0, 0.7935), abs=1e-4)  # 0 of 1
    assert high.interval == pytest.approx((0.3424, 1.0), abs=1e-4)  # 2 of 2


def test_only_closed_runs_with_a_prediction_are_scored():
    found = calibrate(
        [
            run("a", None, "failed", "no gate"),
            record("b", prediction=prediction()),
            record("c", prediction=prediction(), status="queued", **this_process()),
            {"id": "x", "status": "unreadable"},
        ]
    )
    assert (found.n, found.brier, found.brier_base_rate, found.bins) == (0, None, None, ())
    assert [cause.text for cause in found.causes] == ["no gate"]  # why it failed counts all the same
    assert found.open_runs == ("2026-11-21_moving-dot_b",)


def test_a_closing_that_lacks_cause_and_judgement_hides_no_other():
    found = calibrate([*FOUR, record("e", prediction=prediction(0.5), closed={"outcome": "failed"}, gate={})])
    assert (found.n, found.failures_judged, found.passes) == (5, 2, 4)


def test_causes_are_ranked_and_joined():
    found = calibrate(
        [
            run("a", 0.1, "failed", "Rewards flat", False),
            run("b", 0.1, "failed", "labels too few", 0),
            run("c", 0.1, "failed", "rewards  flat.", False),
            run("d", 0.1, "failed", "labels too few", 0),
            run("e", 0.1, "failed", "labels too few", 0),
            run("f", 0.1, "failed", "a bug", False),
            run("g", 0.1, "failed"),
            run("h", 0.1, "succeeded"),
        ]
    )
    assert [(cause.text, len(cause.runs), cause.foreseen, cause.unforeseen) for cause in found.causes] == [
        ("labels too few", 3, 3, 0),
        ("rewards  flat.", 2, 0, 2),
        ("a bug", 1, 0, 1),
    ]
    cause, name = next_question(found.causes, ())
    assert (cause.text, name) == ("rewards  flat.", "cause_rewards_flat")  # the most frequent that nobody foresaw
    assert next_question(found.causes, {"cause_rewards_flat"})[1] == "cause_a_bug"  # asked since
    assert next_question(found.causes, {"cause_rewards_flat", "cause_a_bug"}) is None


HOSTILE = ['"quoted" \\ \'', "a: b # c", "- {x}", "観測 🎉", "x" * 300, "no\x1b[2Jne\nnew | line", "123", "%", "true"]


@pytest.mark.parametrize("text", HOSTILE)
def test_the_snippet_is_a_question_that_the_checklist_takes(tmp_path, text):
    root = make_project(tmp_path)
    path = root / "checklists/prelaunch.yaml"
    known = read_checklist(root)
    cause = Cause(text, unforeseen=2, runs=["2026-11-21_moving-dot_7f3a"])
    head, rest = path.read_text().split("checks:\n", 1)
    path.write_text(f"{head}{question_yaml(cause, question_id(text))}\nchecks:\n{rest}")
    asked = read_checklist(root).questions
    assert asked[:-1] == known.questions
    assert asked[-1].id == question_id(text) and "2 runs fail without being foreseen" in asked[-1].why
    assert next_question([cause], {question.id for question in asked}) is None


def test_ids_of_different_causes_differ():
    names = [question_id(text) for text in [*HOSTILE, "x" * 299, "観測 😀"]]
    assert len(set(names)) == len(names)
    assert question_id("Rewards  FLAT!") == question_id("rewards flat")


class TestText:
    def test_no_run_yet(self):
        text = format_calibration(calibrate([]), (), 80)
        assert text.startswith(
            "predictions: no run that was launched with one is closed yet\nClose runs with: repro close"
        )

    def test_few_runs_say_how_many_are_needed(self):
        text = format_calibration(calibrate(FOUR), (), None)
        assert "predictions: 4 closed runs (3 predictions), 3 failed" in text
        assert "Brier score 0.215" in text and "0.188  always predicting 75%" in text
        assert "16 more closed runs needed before these numbers tell much" in text
        assert "failures foreseen: 1 of 2, 50% (95% Wilson interval 9% to 91%)" in text
        assert "1 of 1" not in text and "- id: cause_lr\n" in text

    def test_one_run_and_all_alike(self):
        text = format_calibration(calibrate([run("a", 0.0, "succeeded")]), (), 80)
        assert "1 closed run (1 prediction), 0 failed" in text and "Brier score 0.000" in text
        assert "foreseen" not in text
        many = [run(f"{number:x}", 0.2, "succeeded") for number in range(20)]
        assert "All ended alike" in format_calibration(calibrate(many), (), None)

    def test_a_bar_is_drawn_to_scale(self):
        (one,) = calibrate([run("a", 0.5, "failed"), run("b", 0.5, "succeeded")]).bins
        assert _bar(one) == "...============#============..."  # from 9% to 91%, both at 50%
        (one,) = calibrate([run("a", 0.9, "succeeded")]).bins
        assert _bar(one) == "o========================..|..."

    @pytest.mark.parametrize("width", [80, 200])
    def test_it_fits_the_terminal(self, width):
        runs = [run(f"{n:x}", n / 40, "failed", HOSTILE[n % 9], False) for n in range(40)]
        text = format_calibration(calibrate(runs), (), width)
        prose = [line for line in text.splitlines() if not line.startswith(("  - id", "    ask", "    why"))]
        assert max(map(len, prose)) <= width and "\x1b" not in text


class TestPlot:
    @pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("b.SVG", b"<?xml")])
    def test_both_forms_and_the_same_bytes_again(self, tmp_path, name, magic):
        first, second = tmp_path / name, tmp_path / f"2{name}"
        for path in (first, second):
            write_reliability_plot(path, calibrate(FOUR))
        assert first.read_bytes().startswith(magic) and first.read_bytes() == second.read_bytes()

    def test_another_form_or_nothing_to_draw(self, tmp_path):
        for path, found, message in (
            (tmp_path / "a.pdf", calibrate(FOUR), "end in .png or .svg"),
            (tmp_path / "a.png", calibrate([]), "nothing to draw"),
            (tmp_path / "gone/a.png", calibrate(FOUR), "the folder .*gone does not exist; make it first"),
        ):
            with pytest.raises(UserError, match=message):
                write_reliability_plot(path, found)
            assert not path.exists()
