"""The pages of the reference say what the code says."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator

import pytest
from conftest import ROOT, choices

sys.path.insert(0, str(ROOT / "docs"))
from write_reference import PAGES

DOCS = ROOT / "docs"
SOURCE = ROOT / "template/src/repro"
POLICY = "evaluation.<policy>."
# Heading in formats.md -> the module that holds the models of the file; of each the path to its fields; and fields that
# are written for others, and not read.
MODELS = {
    "`paper/claims.yaml`": (
        "results/claims.py",
        {"ClaimsFile": "", "Claim": "claims[].", "Deciding": "claims[].cells.", "Group": "claims[].against."},
        set(),
    ),
    "`paper/preregistration.yaml`": ("claims/preregistration.py", {"Plan": "", "Hypothesis": "hypotheses[]."}, set()),
    "`checklists/prelaunch.yaml`": (
        "gate/checklist.py",
        {"Checklist": "", "Question": "questions[].", "CheckRule": "checks.<name>."},
        set(),
    ),
    "`budget.yaml`": ("accounts/budget.py", {"Budget": "", "Stage": "stages[]."}, set()),
    "Answers for": ("gate/checklist.py", {"AnswersFile": "", "Cause": "causes[]."}, set()),
    "`meta.json`": ("preferences/export.py", {"_Format": "", "_Meta": ""}, set()),
    "`labels.jsonl`": ("preferences/export.py", {"_Label": ""}, {"true_returns"}),
    "`health.jsonl`": ("health/check.py", {"Finding": ""}, set()),
    "`results/cells/": (
        "results/records.py",
        {"Cell": "", "Evaluation": "evaluation.", "Score": POLICY},
        {"success", *(f"{POLICY}{name}" for name in ("return_min", "return_max", "length_mean"))},
    ),
}
# Heading -> the functions that write the file, in which each key of the largest map is a field.
WRITERS = {
    "`run.json`": [("tracking/creation.py", "create_run"), ("tracking/archive.py", "this_process")],
    "`paper/preregistered.json`": [
        ("claims/preregistration.py", "register"),
        ("claims/preregistration.py", "what_is_planned"),
    ],
    "`results/cells/": [("results/cells.py", "publish_evaluation")],
}


def rows(text: str) -> dict[str, str]:
    """The first cell of each row of the tables, without its backticks, and the second."""
    return dict(re.findall(r"^\| `([\w-]+)` \| (.*?) \|", text, re.MULTILINE))


def fields(heading: str) -> list[str]:
    """The fields in the table under a heading of formats.md; a row may have several."""
    page = (DOCS / "reference/formats.md").read_text(encoding="utf-8")
    assert page.count(f"\n### {heading}") == 1
    section = page.partition(f"\n### {heading}")[2].partition("\n#")[0]
    return [
        name for cell in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(.*?)`", cell)
    ]


def definition(file: str, name: str) -> ast.AST:
    """A class or a function of the template's code, which may need what is not installed here."""
    body = ast.parse((SOURCE / file).read_text(encoding="utf-8")).body
    return next(node for node in body if getattr(node, "name", None) == name)


def annotated(model: ast.AST) -> Iterator[str]:
    """The fields of a class of pydantic's."""
    for node in ast.iter_child_nodes(model):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def keys(function: ast.AST) -> set[str]:
    """Those of the largest map that is written out in a function."""
    largest = max((node for node in ast.walk(function) if isinstance(node, ast.Dict)), key=lambda node: len(node.keys))
    return {key.value for key in largest.keys if isinstance(key, ast.Constant)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_as_it_would_be_made_now(name: str):
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "make docs writes it again"


def test_all_prompts_are_listed_with_their_defaults():
    settings = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    prompts = {name: value for name, value in settings.items() if not name.startswith("_")}
    page = (DOCS / "reference/prompts.md").read_text(encoding="utf-8")
    listed = rows(page.partition("## Presets")[0])
    assert listed.keys() == prompts.keys()
    for name, value in prompts.items():
        if "{{" not in value:
            assert listed[name] == (f"`{value}`" if value else "empty"), name
    for choice in [*choices()["wandb_mode"], *choices()["license"]]:
        assert f"`{choice}`" in page
    assert tuple(rows(page.partition("## Presets")[2])) == choices()["preset"]


def test_checks_that_the_lessons_name_are_there():
    lessons = (DOCS / "lessons.md").read_text(encoding="utf-8")
    health = rows((ROOT / "template/docs/health.md").read_text(encoding="utf-8"))
    gate = (ROOT / "template/checklists/prelaunch.yaml").read_text(encoding="utf-8")
    before = set(re.findall(r"^  (\w+): \{runs:", gate, re.MULTILINE))
    for command, known in (("doctor RUN", set(health)), ("prelaunch", before)):
        named = {
            name
            for names in re.findall(rf"`repro {command}` \(([^)]*)\)", lessons)
            for name in re.findall(r"`(\w+)`", names)
        }
        assert named and named <= known


def test_messages_that_the_troubleshooting_quotes_are_the_codes():
    """Between three dots stands what varies."""
    files = [*(ROOT / "template/src").rglob("*.py"), ROOT / "template/Makefile"]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (.*?) \|", page, re.MULTILINE)
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell) if not text.startswith("repro ")]
    parts = [part for text in quoted for part in text.split("…")]
    assert len(parts) > 15 and [part for part in parts if part.strip('";: ') not in code] == []


@pytest.mark.parametrize("heading", MODELS)
def test_fields_of_files_are_those_of_their_models(heading: str):
    module, models, written = MODELS[heading]
    known = {path + name for model, path in models.items() for name in annotated(definition(module, model))}
    assert sorted(fields(heading)) == sorted(known | written)


@pytest.mark.parametrize("heading", WRITERS)
def test_fields_that_are_written_are_listed(heading: str):
    written = set().union(*(keys(definition(*where)) for where in WRITERS[heading]))
    assert len(written) > 10 and written <= set(fields(heading))


def test_pre_launch_checks_are_described_as_they_are_shipped():
    page = (ROOT / "template/docs/prelaunch.md").read_text(encoding="utf-8")
    gate = (ROOT / "template/checklists/prelaunch.yaml").read_text(encoding="utf-8")
    described = re.findall(
        r"^\| `(\w+)` \| (blocks|warns) \| .*? \| (all|learned)(?: rewards)? \|$", page, re.MULTILINE
    )
    shipped = re.findall(r"^  (\w+): \{runs: (\w+), failure: (\w+)\}$", gate, re.MULTILINE)
    assert len(shipped) == 16 and described == [(name, failure, runs) for name, runs, failure in shipped]
