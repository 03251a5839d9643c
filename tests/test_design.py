"""The table of rooms in docs/design.md is what stands in src/repro: rooms, files, and who imports whom."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT, TEMPLATE

SOURCE = TEMPLATE / "src/repro"
TABLE = (ROOT / "docs/design.md").read_text(encoding="utf-8").split("## 4. ")[1].split("\n## ")[0]
ROWS = {
    name.removesuffix("/").removesuffix(".py"): (holds, may)
    for name, holds, may in re.findall(r"^\| `([a-z_]+(?:/|\.py))` \| (.*) \| (.*) \|$", TABLE, re.M)
}


def modules(room: str) -> list[Path]:
    file = SOURCE / f"{room}.py"
    return [file] if file.exists() else list((SOURCE / room).rglob("*.py"))


def imported(room: str) -> set[str]:
    """Other rooms that its modules name in an import, at their top or in a function."""
    names: set[str] = set()
    for module in modules(room):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "repro":
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("repro."):
                names.add(str(node.module).split(".")[1])
            elif isinstance(node, ast.Import):
                names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("repro.")}
    return names - {room}


def test_the_rooms_are_those_of_the_table():
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(ROWS) == rooms - {"__init__"}


@pytest.mark.parametrize("room", ROWS)
def test_a_room_imports_what_the_table_allows(room: str):
    may = ROWS[room][1]
    if may in ("all above", "all above but each other", "everything"):
        return  # the contract of import-linter in pyproject.toml
    allowed = set() if may == "nothing" else set(may.split(", "))
    assert imported(room) - {"reading"} == allowed


@pytest.mark.parametrize("room", ROWS)
def test_each_file_that_is_named_is_there(room: str):
    assert set(re.findall(r"\b[a-z][a-z0-9_]*\.py\b", ROWS[room][0])) <= {path.name for path in modules(room)}
