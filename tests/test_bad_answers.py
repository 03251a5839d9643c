"""A bad answer is refused in one line, wherever it was given, and nothing is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import SETTINGS, Generator, choices, contents, default_answers, files


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project_name", "two\nlines"),
        ("project_slug", ""),
        ("project_slug", "../evil"),
        ("project_slug", "a/b"),
        ("project_slug", "x" * 300),
        ("project_slug", "{{ cookiecutter.nothing }}"),
        ("author", "{{ lipsum.__globals__['os'].system('touch pwned') }}\n"),
        ("email", "nobody"),
        ("paper_url", "somewhere"),
        ("preset", "mving-dot"),
        ("preset", ""),
        ("preset", "24"),
        ("preset", "{{ lipsum.__globals__['os'].system('touch pwned') }}"),
        ("wandb_project", "a/b"),
        ("wandb_mode", "on"),
        ("wandb_mod", "offline"),
        ("_version", "2"),
        ("dvc_remote", "ftp://host/x"),
        ("license", "mit"),
        ("author", 'x" + __import__("os").system("touch pwned") + "\n'),
    ],
)
def test_a_bad_answer_is_one_line_and_leaves_nothing_behind(
    generate: Generator, tmp_path: Path, field: str, value: str
):
    output = tmp_path / "deep" / "out"
    done = generate(output, **{field: value})
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{field}: ")
    assert files(tmp_path / "deep") == set() and list((tmp_path / "deep").iterdir()) == [output]
    assert list(output.iterdir()) == [] and os.listdir(generate.home) == []


def refused(generate: Generator, output: Path, *options: str, **others: Any) -> str:
    """The one line that says why no project was made."""
    done = generate(output, *options, **others)
    assert done.returncode == 1 and done.stdout == "" and list(output.iterdir()) == []
    (line,) = done.stderr.splitlines()
    return line


def written(folder: Path, text: str) -> Path:
    """A configuration file of cookiecutter's."""
    path = folder / "answers.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("default_context: {preset: mving-dot, license: Proprietary}", 'preset: "mving-dot" will not do: choose one'),
        ("default_context: {wandb_mod: offline}", 'wandb_mod: "offline" will not do: no question has this name'),
        ("preset: cartpole", 'preset: "cartpole" will not do: write answers below default_context:'),
        ("default_contex: {preset: cartpole}", "default_contex: {'preset': 'cartpole'} will not do: write"),
        ("default_context: {2: x}", '2: "x" will not do: no question has this name'),
        ("default_context: {paper_url: 2001.00010}", "paper_url: 2001.0001 will not do: write it as text, in quotes"),
        ("default_context: {wandb_mode: off}", "wandb_mode: False will not do: write it as text, in quotes"),
        ("default_context: {project_name: }", "project_name: None will not do: write it as text"),
        ("default_context: {project_name: {a: b}}", "project_name: {'a': 'b'} will not do: write it as text"),
        ("default_context: {author: []}", "author: [] will not do: write it as text"),
        ("default_context: {preset: [pong, cartpole]}", "preset: ['pong', 'cartpole'] will not do: write it as text"),
    ],
)
def test_what_a_file_holds_beside_good_answers_is_refused(generate: Generator, tmp_path: Path, text: str, start: str):
    line = refused(generate, tmp_path / "out", "--config-file", str(written(tmp_path, text)))
    assert line.startswith(start)


def test_the_users_own_settings_may_hold_answers_to_other_templates(generate: Generator, tmp_path: Path):
    settings = written(generate.home, "default_context: {full_name: Ada, author: Ada Lovelace}\ngithub: ada\n")
    settings.rename(generate.home / ".cookiecutterrc")
    project = generate.project(tmp_path / "out", author="Somebody")
    assert "Somebody" in (project / "LICENSE").read_text(encoding="utf-8")
    project = generate.project(tmp_path / "again")
    assert "Ada Lovelace" in (project / "LICENSE").read_text(encoding="utf-8")
    written(generate.home, "default_context: {preset: mving-dot}\n").rename(generate.home / ".cookiecutterrc")
    assert refused(generate, tmp_path / "third").startswith('preset: "mving-dot" will not do: ')
    assert generate(tmp_path / "third", "--default-config").returncode == 0


def test_a_number_of_the_menu_is_its_name(generate: Generator, tmp_path: Path):
    number = str(choices()["preset"].index("cartpole") + 1)
    by_name = generate.project(tmp_path / "name", preset="cartpole", license="BSD-3-Clause")
    assert contents(generate.project(tmp_path / "number", preset=number, license="2")) == contents(by_name)


def test_a_person_is_asked_again_for_a_choice_that_is_none(generate: Generator, tmp_path: Path):
    given = list((default_answers() | {"preset": "99\nmving-dot\ncartpole", "license": "5\n2"}).values())
    done = generate(tmp_path / "out", stdin="\n".join(given) + "\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("That is not in the menu. Number or name: ") == 3
    assert "preset cartpole is in params.yaml" in done.stdout


def test_a_person_is_told_what_will_not_do_and_asked_again(generate: Generator, tmp_path: Path):
    answers = default_answers() | {"paper_url": "not [a] url\n1912.00001", "dvc_remote": "data\n../elsewhere"}
    done = generate(tmp_path / "out", stdin="\n".join(answers.values()) + "\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'paper_url: "not [a] url" will not do: write an arXiv id such as 1706.03741' in done.stdout
    assert 'dvc_remote: "data" will not do: the folder must lie outside the project' in done.stdout
    assert done.stdout.count("Once more: ") == 2
    (project,) = (tmp_path / "out").iterdir()
    assert "arxiv.org/abs/1912.00001" in (project / "README.md").read_text(encoding="utf-8")
    assert "elsewhere" in (project / ".dvc/config").read_text(encoding="utf-8")


def test_a_slug_follows_the_name_that_was_given_in_the_end(generate: Generator, tmp_path: Path):
    answers = list((default_answers() | {"project_name": "Bell\aboy\nAt Last"}).values())
    answers[1] = ""  # the slug that is offered
    done = generate(tmp_path / "out", stdin="\n".join(answers) + "\n")
    assert done.returncode == 0 and (tmp_path / "out/at-last").is_dir(), done.stdout + done.stderr


def test_who_stops_answering_gets_the_line_and_nothing_is_made(generate: Generator, tmp_path: Path):
    done = generate(tmp_path / "out", stdin="Bell\aboy\n")
    assert done.returncode == 1 and list((tmp_path / "out").iterdir()) == []
    assert done.stderr.startswith('project_name: "Bell\\u0007boy" will not do: remove the character U+0007')


def test_cruft_refuses_a_mistyped_choice_in_the_same_line(
    generate: Generator, template_repository: Path, tmp_path: Path
):
    command = [sys.executable, "-m", "cruft", "create", str(template_repository), "-y"]
    command += ["--extra-context", '{"preset": "mving-dot"}', "--output-dir", str(tmp_path / "out")]
    done = subprocess.run(command, env=generate.env, capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    (line,) = done.stderr.splitlines()
    assert line.startswith('preset: "mving-dot" will not do: choose one of moving-dot, ')


def test_answers_of_a_replay_are_checked_too(generate: Generator, tmp_path: Path):
    """A replay skips the prompts, so here it is the hook that refuses."""
    context = {"cookiecutter": SETTINGS | default_answers() | {"email": "nobody", "__checked": ""}}
    del context["cookiecutter"]["__prompts__"]
    replay = tmp_path / "answers.json"
    replay.write_text(json.dumps(context))
    done = generate(tmp_path / "out", "--replay-file", str(replay))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("email: ")]
    assert lines == ['email: "nobody" will not do: write an address such as name@example.com']
    assert list((tmp_path / "out").iterdir()) == []
