"""The pages of the reference say what the code says."""

from __future__ import annotations

import json
import re
import sys

import pytest
from conftest import ROOT, choices

sys.path.insert(0, str(ROOT / "docs"))
from write_reference import PAGES

DOCS = ROOT / "docs"


def rows(text: str) -> dict[str, str]:
    """The first cell of each row of the tables, without its backticks, and the second."""
    return dict(re.findall(r"^\| `([\w-]+)` \| (.*?) \|", text, re.MULTILINE))


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
