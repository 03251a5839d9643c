"""Every combination of choices: what is made of it is whole and holds together."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from conftest import TEMPLATE, Generator, choices, contents, files, in_turn
from rendering import FILES, WITH_ANSWERS, all_answers, check, check_links, read_markdown, render
from ruamel.yaml import YAML

from local_extensions import parameters, task

CHOICES = choices()
# Files whose own texts have such braces: for str.format.
BRACES = ("src/repro/gate/checklist.py",)


def cover() -> list[dict[str, str]]:
    """As many combinations as the longest choice has options: each option of each choice stands in one at least."""
    return in_turn(CHOICES, max(map(len, CHOICES.values())))


def test_the_cover_leaves_no_option_out():
    rows = cover()
    assert {name: {row[name] for row in rows} for name in CHOICES} == {name: set(CHOICES[name]) for name in CHOICES}


@pytest.mark.parametrize("first", CHOICES["license"])
def test_each_combination_gives_sound_files(first: str):
    others = [[(name, option) for option in options] for name, options in CHOICES.items() if name != "license"]
    for combination in product(*others):
        assert check({**dict(combination), "license": first}) is None, combination


def assert_deviations_are_those_of(values: dict[str, Any], text: str) -> None:
    """Each parameter that is named is one of the preset's, and what is said to be the paper's is so in it."""
    for name in re.findall(rf"`((?:{'|'.join(values)})\.[\w.]+)", text):
        reduce(lambda section, key: section[key], name.split("."), values)  # a KeyError names what is not there
    cells = re.findall(r"^\| (.*?) \| (.*?) \| (.*?) \| ?(.*?) ?\|$", text, re.M)
    rows = {detail: (here, why) for detail, _, here, why in cells}
    model = values["reward_model"]
    paper = {
        "each member's data": model["bootstrap"],
        "held out for validation": model["bootstrap"],
        "which pairs are asked": values["preferences"]["queries"] == "disagreement",
        "network (A)": model["network"] == "cnn",
    }
    assert {detail: rows[detail][0].startswith("the same") for detail in paper} == paper
    assert ("`adaptive` holds" not in rows["regularisation"][0]) == (model["weight_decay"] == "adaptive")
    assert ("linearly to 0" in rows["optimiser, learning rate"][0]) == model["anneal_learning_rate"]
    assert rows["labels kept (A)"][0].startswith("all") == (model["label_window"] is None)
    assert ("RMSprop" in rows["optimiser"][0]) == (values["agent"]["algorithm"] == "a2c")
    assert ("PPO" in rows["algorithm"][1]) == (values["agent"]["algorithm"] == "ppo")


@pytest.mark.parametrize("preset", CHOICES["preset"])
def test_the_texts_of_the_paper_speak_of_the_presets_task(preset: str):
    for name, text in render(all_answers({"preset": preset})).items():
        if name.startswith("paper/"):
            assert (re.search(r"\bdot\b", text) is not None) == preset.startswith("moving-dot"), name
            assert task(preset)["name"] in text
        if name == "paper/claims.yaml":
            experiments = re.findall(r"^    cells: {experiment: ([\w-]+),", text, re.MULTILINE)
            assert set(experiments) == {preset, task(preset)["baseline"]}  # what the pipeline makes
            for claim in YAML(typ="safe").load(text)["claims"]:
                assert (claim["cells"]["seeds"], claim["min_seeds"], claim["tolerance"]) == ("final", 10, None)
                assert claim["target"] > 0
            assert ("(not expected of moving-dot-small," in text) == (preset == "moving-dot-small")
        if name == "paper/deviations.md":
            rows = [line for line in text.splitlines() if line.startswith("|")]
            assert len(rows) > 20 and {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5}
            assert_deviations_are_those_of(parameters(preset), text)
        if name == "paper/preregistration.yaml":
            assert YAML(typ="safe").load(text)["hypotheses"] == []  # to be filled in


@pytest.mark.parametrize("answers", cover(), ids=lambda answers: answers["preset"])
def test_a_generated_combination_has_exactly_the_files_meant(
    generate: Generator, tmp_path: Path, answers: dict[str, str]
):
    made = contents(generate.project(tmp_path / "out", **answers))
    assert set(made) == FILES
    rendered = {name: text.encode() for name, text in render(all_answers(answers)).items()}
    assert {name: made[name] for name in WITH_ANSWERS} == rendered
    assert made["params.yaml"] == (TEMPLATE / "presets" / f"{answers['preset']}.yaml").read_bytes()
    for name in FILES - {*WITH_ANSWERS, "params.yaml"}:
        assert made[name] == (TEMPLATE / name).read_bytes(), name


def test_a_project_has_exactly_the_files_listed(default_project: Path):
    """A file that is lost or left in the template by mistake is seen; one that is meant is listed by this command."""
    renew = "(cd template && git ls-files -co --exclude-standard && echo params.yaml) | LC_ALL=C sort > tests/files.txt"
    assert files(default_project) == FILES, renew
    listed = (TEMPLATE.parent / "tests/files.txt").read_text(encoding="utf-8").splitlines()
    assert listed == sorted(FILES), renew


def test_nothing_of_jinja_is_left_in_any_file(default_project: Path):
    left = {name: leftovers(name, (default_project / name).read_text(encoding="utf-8")) for name in sorted(FILES)}
    assert {name: found for name, found in left.items() if found} == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Makefile", "all:\n\techo {{ cookiecutter.author }}\n"),
        ("docs/dvc.md", "{% if x %}"),
        (".github/workflows/ci.yml", "python: ${{ matrix.python }} {{ x }}"),
        ("src/repro/seeding.py", 'NAME = f"{{{x}}}" + "{{ name }}"\n'),
        ("src/repro/seeding.py", "# cookiecutter.author\n"),
    ],
)
def test_a_leftover_is_seen(name: str, text: str):
    assert leftovers(name, text)


def leftovers(name: str, text: str) -> list[str]:
    """What looks like Jinja in a file, but for what GitHub and Python mean by double braces."""
    found = re.findall(r"cookiecutter\.", text)
    if name.endswith(".py"):
        strings = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        text = "\n".join(value for value in strings if isinstance(value, str))
    if name.startswith(".github/"):
        text = re.sub(r"\$\{\{ matrix\.\w+ \}\}", "", text)
    return found + ([] if name in BRACES else re.findall(r".*(?:\{\{|\{%|\{#).*", text))


def test_every_file_of_a_project_can_be_read_as_what_it_is(default_project: Path):
    yaml = YAML(typ="safe", pure=True)
    readers = {".py": ast.parse, ".toml": tomllib.loads, ".yaml": yaml.load, ".yml": yaml.load, ".json": json.loads}
    for name in sorted(FILES):
        path = default_project / name
        if path.suffix in readers:
            readers[path.suffix](path.read_text(encoding="utf-8"))
        if path.suffix == ".md":
            _, _, links = read_markdown(path.read_text(encoding="utf-8"))
            check_links(name, links)


def test_a_project_passes_ruff(default_project: Path):
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache"]
        done = subprocess.run([*ruff, "."], cwd=default_project, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
