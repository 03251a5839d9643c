"""The command that passes the pre-launch gate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from repro.cli.common import Ablation, Answers, Params, Question, Set, Skip, open_project

app = typer.Typer()


@app.command()
def prelaunch(
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="What the estimate runs with; the gate is passed for all.", show_default="a tuning one"
        ),
    ] = None,
    params: Params = None,
    set_: Set = None,
    ablation: Ablation = None,
    question: Question = None,
    answers: Answers = None,
    skip: Skip = None,
    write_answers: Annotated[Path | None, typer.Option(help="Write a file of the questions, to be filled in.")] = None,
) -> None:
    """Run the pre-launch checks and answer the questions now; runs with this code and these parameters may start then.

    Example: repro prelaunch --set training.total_steps=1000000
    """
    from repro.accounts.expected import say_expected
    from repro.device import choose_device
    from repro.gate.checklist import read_checklist, write_answers_template
    from repro.gate.prelaunch import Given, check_given, launched_params, pass_gate
    from repro.preferences.schedule import labelling_minutes, person_labels
    from repro.preflight.estimate import estimate_minutes
    from repro.tracking.snapshot import code_hash

    root, config = open_project(params, set_, ablation)
    code = code_hash(root)
    if write_answers:
        write_answers_template(write_answers, read_checklist(root), code, launched_params(config))
        options = [("--seed", seed), ("--params", params), ("--ablation", ablation)]
        options += [("--set", override) for override in set_ or ()]
        words = [str(word) for option in options if option[1] is not None for word in option]
        command = shlex.join(["repro", "prelaunch", *words, "--answers", str(write_answers)])
        print(f"written: {write_answers}; fill it in, then: {command}")
        return
    given = Given(answers, skip, question)
    check_given(root, config, code, given)
    labels = person_labels(config)
    minutes = estimate_minutes(config, config.seeds.tuning[0] if seed is None else seed) + labelling_minutes(labels)
    say_expected(root, config.name, choose_device(config.training.device).type, minutes, labels=labels)
    record = pass_gate(root, config, code, given, minutes, always=True)
    print(f"passed ({record['passed']}): runs with this code and these parameters may start")
