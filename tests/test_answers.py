"""The checks of the answers, and the filters that write them into files."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib

import pytest
from conftest import ROOT, SETTINGS, TEMPLATE, default_answers, load_hook

from local_extensions import (
    MUJOCO_PRESETS,
    dvc_extra,
    dvc_url,
    gymnasium_extras,
    hook_literal,
    in_quotes,
    markdown,
    paper_link,
)

pre_gen = load_hook("pre_gen_project")
FIELDS = [name for name in SETTINGS if not name.startswith("_")]

AWKWARD = [
    'Zoë\'s "Dot"',
    "back\\slash\\",
    "{braces} {{ twice }} {% raw %}",
    "🤖👩‍🔬",
    "'''\"\"\"",
    "#$%&;|<>*_`~",
    "日本語",
]

GOOD = {
    "project_name": AWKWARD,
    "project_slug": ["a", "moving-dot", "2d-dot", "torch", "repro", "x" * 64],
    "author": AWKWARD,
    "email": ["you@example.com", "first.last+tag@sub.example.org"],
    "paper_title": AWKWARD,
    "paper_url": [
        "1706.03741",
        "arXiv:1706.03741v4",
        "0706.1234",
        "cs/0112017",
        "math.GT/0309136",
        "https://arxiv.org/abs/1706.03741",
        "http://example.org:8080/a_b?c=d&e=%20#f",
    ],
    "wandb_entity": ["", "my-team_1"],
    "wandb_project": ["dot", "Dot.2_b-c"],
    "dvc_remote": [
        "../dvc-remote",
        "../with space/x",
        "../../shared",
        "/data/dvc",
        "s3://bucket/path",
        "gs://bucket",
        "ssh://me@host.example:22/data",
    ],
}

BAD = {
    "project_name": [
        *("", "   ", " padded", "\u200b", "two\nlines", "tab\there", "nul\0", "\x7f", "\u2028", "\ud83d", "\uffff"),
        *("reversed \u202e", "isolated \u2066", "x" * 201),
    ],
    "project_slug": [
        "",
        ".",
        "..",
        "../evil",
        "a/b",
        "/tmp/x",
        "a\\b",
        "Upper",
        "under_score",
        "a--b",
        "-a",
        "a-",
        "a b",
        "é",
        "a\n",
        "{{x}}",
        "x" * 65,
        "con",
        "lpt1",
    ],
    "author": ["", "a\rb", "a\x1b[31mb"],
    "email": [
        *("", "you", "you@", "@example.com", "you@host", "a b@example.com", "a@b@example.com", "a@example.com\n"),
        *("a..b@example.com", ".a@example.com", "a.@example.com"),
    ],
    "paper_title": ["", "\n"],
    "paper_url": [
        "",
        "1706",
        "arxiv",
        "ftp://example.org/x",
        "javascript:alert(1)",
        "https://",
        "https://exa mple.org",
        "https://example.org/)x",
        "example.org/paper",
        "1706.03741\n",
    ],
    "preset": ["", "moving_dot", "../../etc/passwd", "Moving-dot"],
    "wandb_entity": ["a b", "a/b", "é"],
    "wandb_project": ["", "a/b", "a b", "a:b", "x" * 129],
    "wandb_mode": ["", "on", "AUTO"],
    "dvc_remote": [
        "",
        ".",
        "..",
        "../..",
        "data",
        "./data",
        "../moving-dot-from-preferences/data",
        "../x/../moving-dot-from-preferences",
        "~/data",
        "ftp://host/x",
        "s3://",
        "C:/data",
        "../é",
        "../a,b",
        "../a#b",
        '../"a"',
        "../a\nb",
        " ../a",
        "/",
        "../%d",
    ],
    "license": ["", "mit", "GPL-3.0"],
}


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(field, value) for field, values in table.items() for value in values]


def test_the_default_answers_are_good():
    assert pre_gen.find_problem(default_answers()) is None


@pytest.mark.parametrize(("field", "value"), cases(GOOD))
def test_a_good_answer_is_accepted(field: str, value: str):
    assert pre_gen.find_problem(default_answers() | {field: value}) is None


@pytest.mark.parametrize(("field", "value"), cases(BAD))
def test_a_bad_answer_is_named_in_one_line_with_its_value_and_the_fix(field: str, value: str):
    problem = pre_gen.find_problem(default_answers() | {field: value})
    assert problem is not None
    assert len(problem.splitlines()) == 1 and problem.isprintable()
    start, _, fix = problem.partition(" will not do: ")
    assert start.startswith(f'{field}: "') and fix
    shown = start.removeprefix(f"{field}: ")
    assert shown.endswith("...") or json.loads(shown) == value


@pytest.mark.parametrize("field", FIELDS)
def test_an_answer_that_is_not_text_is_refused(field: str):
    assert pre_gen.find_problem(default_answers() | {field: 7}).startswith(f"{field}: 7 ")


def test_every_prompt_is_checked_and_explained():
    assert set(FIELDS) == {*pre_gen.CHECKS, "dvc_remote"}
    assert set(FIELDS) == set(SETTINGS["__prompts__"])
    names = list(SETTINGS)
    for field in FIELDS:  # at once, while the person still thinks of it
        assert names[names.index(field) + 1] == f"__{field}"
        assert SETTINGS[f"__{field}"] == f"{{{{ cookiecutter | settle('{field}') }}}}"


@pytest.mark.parametrize("field", pre_gen.CHOICES)
def test_a_menu_shows_each_name_with_its_number(field: str):
    _, *lines, last = SETTINGS["__prompts__"][field].split("\n")
    shown = [re.match(r" +(\d+) - ([\w.-]+)", line) for line in lines]
    assert [(int(found[1]), found[2]) for found in shown if found] == [*enumerate(pre_gen.CHOICES[field], 1)]
    assert last == "    Number or name" and max(map(len, lines)) <= 80  # a line of a terminal


def test_choices_are_the_same_everywhere():
    assert {path.stem for path in (TEMPLATE / "presets").glob("*.yaml")} == set(pre_gen.PRESETS)
    modes = re.search(r"^MODES = (.+)$", (TEMPLATE / "src/repro/tracking/wandb.py").read_text(encoding="utf-8"), re.M)
    assert modes and ast.literal_eval(modes[1]) == pre_gen.WANDB_MODES
    texts = re.findall(r"license == '([\w.-]+)'", (TEMPLATE / "LICENSE").read_text(encoding="utf-8"))
    assert {*texts, "Proprietary"} == set(pre_gen.LICENSES)


@pytest.mark.parametrize("text", [*AWKWARD, "two\nlines", "nul\0", "\u2028", "\ud83d", '"; import os  #', "\\", '\\"'])
def test_answers_reach_the_hooks_unharmed_and_are_never_code(text: str):
    literal = f'"{hook_literal({"name": text})}"'
    assert literal.isascii() and "\n" not in literal
    assert json.loads(ast.literal_eval(literal)) == {"name": text}


@pytest.mark.parametrize("text", AWKWARD)
def test_quoted_text_means_the_same_in_toml_and_json(text: str):
    assert tomllib.loads(f'value = "{in_quotes(text)}"') == {"value": text}
    assert json.loads(f'"{in_quotes(text)}"') == text


def test_markdown_shows_text_as_it_was_typed():
    assert markdown("plain, with - dash: 1.") == "plain, with - dash: 1."
    assert markdown("[a](b) *c* <i> `d`") == r"\[a\](b) \*c\* \<i\> \`d\`"


def test_paper_links():
    assert paper_link("1706.03741") == paper_link("arXiv:1706.03741") == "https://arxiv.org/abs/1706.03741"
    assert paper_link("https://example.org/x") == "https://example.org/x"


def test_remotes_as_dvc_needs_them():
    assert dvc_url("../x") == dvc_url("./../x/") == "../../x"
    assert dvc_url("/data/x") == "/data/x"
    assert dvc_url("s3://bucket/x") == "s3://bucket/x"
    assert dvc_extra("s3://bucket/x") == "[s3]" and dvc_extra("../x") == dvc_extra("https://host/x") == ""


def test_a_preset_that_needs_mujoco_brings_it():
    robots = re.compile(
        r"^  id: (\S*(Pendulum-v5|HalfCheetah|Hopper|Walker2d|Ant|Swimmer|Reacher|Pusher|Humanoid))", re.M
    )
    presets = (TEMPLATE / "presets").glob("*.yaml")
    assert {path.stem for path in presets if robots.search(path.read_text(encoding="utf-8"))} == set(MUJOCO_PRESETS)
    assert gymnasium_extras("half-cheetah") == "classic-control,mujoco"
    assert gymnasium_extras("moving-dot") == "classic-control"


@pytest.mark.parametrize("name", ["pre_gen_project.py", "post_gen_project.py"])
def test_hooks_need_nothing_but_the_standard_library_and_render_one_line(name: str):
    source = (ROOT / "hooks" / name).read_text(encoding="utf-8")
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= sys.stdlib_module_names
    assert not imported & {"socket", "urllib", "http", "ssl"}
    assert [line for line in source.splitlines() if re.search(r"\{\{|\{%|\{#", line)] == [
        'ANSWERS = "{{ cookiecutter | hook_literal }}"  # JSON; the only line that cookiecutter renders'
    ]
