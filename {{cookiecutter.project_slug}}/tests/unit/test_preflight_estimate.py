"""The estimate of a run's duration: about right, without traces, and with a sign of life on a terminal."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import sys
import time

import pytest
import torch
from preflight_examples import config
from reward_examples import VECTORS, add_comparisons, make_model

from repro.preferences.reward_model import VALIDATION_COMPARISONS
from repro.preferences.store import PreferenceStore
from repro.preflight import estimate
from repro.preflight.estimate import estimate_minutes, validation_growth
from repro.terminal import waiting
from repro.training import make_trainer


@pytest.mark.parametrize("source", ["learned", "environment"])
def test_it_is_of_the_right_size(source, tmp_path, monkeypatch):
    parameters = config(
        f"reward.source={source}",
        f"training.total_steps={3000 if source == 'learned' else 6000}",
        "preferences.initial_labels=30",
        "preferences.total_labels=60",
        "reward_model.pretraining_steps=40",
        "evaluation.video_rollouts=0",
        "training.checkpoint_rollouts=1000",
    )
    monkeypatch.setattr(estimate, "START_SECONDS", 0.0)  # of a process of its own
    minutes = 60 * estimate_minutes(parameters, seed=100)
    start = time.perf_counter()
    with PreferenceStore(tmp_path / "preferences.db") as store:
        for _ in make_trainer(parameters, 100, "run", store).rows():
            pass
    seconds = time.perf_counter() - start
    assert seconds / 3 < minutes < 3 * seconds  # another process may take the processor away from either


def test_it_grows_with_the_run_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short, long = (estimate_minutes(config(f"training.total_steps={steps}"), 100) for steps in (50_000, 500_000))
    assert 4 < long / short < 25
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        (("training.checkpoint_rollouts=1000", "evaluation.video_rollouts=0"), 40 + 1),  # and one in the end
        (("training.checkpoint_rollouts=5", "evaluation.video_rollouts=0"), 40 + 9),
        (("training.checkpoint_rollouts=1000", "evaluation.video_rollouts=10"), 40 + 1 + 5 * 50),
    ],
)
def test_checkpoints_and_every_filmed_step_count(monkeypatch, settings, seconds):
    """40 rollouts, episodes of 50 steps, where whatever is timed takes a second."""
    monkeypatch.setattr(estimate, "START_SECONDS", 0.0)
    monkeypatch.setattr(estimate, "_time", lambda *_, **__: 1.0)
    short = ("reward.source=environment", "training.total_steps=10240", "env.max_frames=200")
    assert 60 * estimate_minutes(config(*short, *settings), 100) == pytest.approx(seconds)


def test_of_a_short_run_nothing_is_done_more_often_than_the_run_does_it(monkeypatch):
    """4 rollouts, with a validation each; 3 checkpoints; 40 gradient steps and then 10 a rollout, in blocks of 10."""
    most = []
    monkeypatch.setattr(estimate, "_time", lambda action, times, **_: most.append(times) or 1.0)
    run = ("training.total_steps=1024", "training.checkpoint_rollouts=2", "evaluation.video_rollouts=0")
    estimate_minutes(config(*run, "reward_model.pretraining_steps=40", "reward_model.steps_per_rollout=10"), 100)
    assert most == [4, 3, 8, 4]
    monkeypatch.undo()
    done = []
    estimate._time(lambda: done.append(1), 3, warm_up=False)
    assert len(done) == 3


def test_the_reward_model_is_timed_in_blocks_as_long_as_those_of_the_run(monkeypatch):
    """What comes once a block, such as measuring its statistics anew after dropout, is no part of each step."""
    monkeypatch.setattr(estimate, "START_SECONDS", 0.0)
    monkeypatch.setattr(estimate, "_time", lambda *_, **__: 1.0)
    overrides = ("reward_model.pretraining_steps=0", "training.total_steps=51200")
    estimates = [
        60 * estimate_minutes(config(*overrides, f"reward_model.steps_per_rollout={steps}"), 100) for steps in (1, 20)
    ]
    assert estimates[0] == pytest.approx(estimates[1], rel=0.05)


def test_the_start_takes_longer_where_others_compute(monkeypatch):
    """A process that gets every third tick of a processor does not start in five seconds."""
    monkeypatch.setattr(estimate, "_time", lambda *_, **__: 0.0)
    ticks = itertools.count()
    monkeypatch.setattr(time, "process_time", lambda: 1.0 * next(ticks))
    monkeypatch.setattr(time, "perf_counter", lambda: 3.0 * next(ticks))
    seconds = 60 * estimate_minutes(config("reward.source=environment"), 100)
    assert seconds == pytest.approx(3 * estimate.START_SECONDS)


class TestValidation:
    def model(self, fraction):
        model = make_model(VECTORS, validation_fraction=fraction)
        add_comparisons(model, VECTORS, 32)
        _, held_out = model.comparisons.labels(torch.arange(32))
        return model, int(held_out.any(0).sum())

    def test_it_grows_with_the_labels(self):
        model, candidates = self.model(0.1)
        assert 0 < candidates < 32
        assert validation_growth(model, 64) == pytest.approx(2.0)

    def test_it_grows_no_further_than_the_comparisons_that_are_looked_at(self):
        model, candidates = self.model(0.2)
        for labels in (32 * VALIDATION_COMPARISONS, 1_000_000):
            assert validation_growth(model, labels) == VALIDATION_COMPARISONS / candidates

    def test_where_the_probe_holds_nothing_out_it_does_not_grow(self):
        model, candidates = self.model(1e-9)
        assert candidates == 0 and validation_growth(model, 1000) == 1.0

    def test_the_estimate_counts_no_more_than_are_looked_at(self, monkeypatch):
        """98 rollouts, each with a validation of half a second; one of all that is held out would take two."""
        clock = [0.0]

        def slow(model):
            _, held_out = model.comparisons.labels(torch.arange(len(model.comparisons)))
            clock[0] += 0.005 * min(int(held_out.any(0).sum()), VALIDATION_COMPARISONS)
            return {}

        def timed(action, *_, **__):
            """By a clock on which nothing but a validation takes time."""
            start = clock[0]
            action()
            return clock[0] - start

        monkeypatch.setattr("repro.preferences.reward_model.RewardModel.validate", slow)
        monkeypatch.setattr(estimate, "_time", timed)
        monkeypatch.setattr(estimate, "START_SECONDS", 0.0)
        labels = ("preferences.initial_labels=32", "preferences.total_labels=3000", "evaluation.video_rollouts=0")
        training = ("training.total_steps=25600", "reward_model.steps_per_rollout=0")
        seconds = 60 * estimate_minutes(config(*labels, *training, "reward_model.pretraining_steps=0"), 100)
        assert seconds == pytest.approx(98 * 0.5, rel=0.1)  # the rollouts themselves are timed for real


class TestSignOfLife:
    def shown(self, monkeypatch, seconds, terminal=True, error=None):
        """What `waiting` writes to stderr while something takes `seconds`."""
        monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.1)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        reader, side = pty.openpty() if terminal else os.pipe()
        with os.fdopen(side, "w") as stderr:
            monkeypatch.setattr(sys, "stderr", stderr)
            with contextlib.suppress(ZeroDivisionError), waiting.waiting("thinking"):
                time.sleep(seconds)
                if error:
                    raise error
            stderr.write("end")
            stderr.flush()
            text = ""
            while not text.endswith("end"):
                text += os.read(reader, 4096).decode()
        os.close(reader)
        return text.removesuffix("end")

    def test_on_a_terminal_after_a_while_and_gone_afterwards(self, monkeypatch):
        text = self.shown(monkeypatch, 0.5)
        assert "thinking" in text and text.endswith("\x1b[2K")  # the line is erased

    def test_what_is_quick_is_not_announced(self, monkeypatch):
        assert self.shown(monkeypatch, 0.0) == ""

    def test_nothing_without_a_terminal(self, monkeypatch):
        assert self.shown(monkeypatch, 0.3, terminal=False) == ""

    def test_gone_after_an_error_too(self, monkeypatch):
        assert self.shown(monkeypatch, 0.5, error=ZeroDivisionError()).endswith("\x1b[2K")
