"""Parameters, a checklist and scripted answers that the tests of the pre-launch gate share."""

import json
from pathlib import Path

from repro.config import load_config
from repro.gate import prelaunch

PROJECT = Path(__file__).parents[2]
CHECKLIST = """
questions:
  - {id: question, ask: Which question?, why: w}
  - {id: outcomes, ask: "What would it mean: yes?", why: w}
checks:
  tracking: {runs: all, failure: blocks}
  seeds: {runs: all, failure: warns}
"""
CODE = "00000000000012e5"  # a number, were it not quoted
COMPLETE = ["Does it learn?", "yes: on; no: debug", "3", "0.2"]


def config(*overrides):
    return load_config(
        PROJECT / "presets" / "moving-dot.yaml", ["reward.source=environment", "seeds.final=[0]", *overrides]
    )


def run_gate(root, typed=None, parameters=None, minutes=60.0, **options):
    """The gate with scripted answers; a question too many ends like a closed terminal. All must be used."""
    typed = list(typed or [])
    said = []

    def ask(prompt):
        said.append(prompt)
        if not typed:
            raise EOFError
        return typed.pop(0)

    given = prelaunch.Given(*(options.pop(name, None) for name in ("answers", "skip", "question")))
    code = options.pop("code_hash", CODE)
    options = {"interactive": True, "ask": ask, "say": said.append} | options
    record = prelaunch.pass_gate(root, parameters or config(), code, given, minutes, **options)
    assert typed == []
    return record, "\n".join(said)


def stored(root):
    """The files of passed gates."""
    return sorted({path.name for path in (root / "runs/.gate").glob("*")} - {path.name for path in _begun(root)})


def begun(root):
    """The answers that are kept of gates that broke off, of each one."""
    return [json.loads(path.read_text()) for path in _begun(root)]


def _begun(root):
    return sorted((root / "runs/.gate").glob("*.begun.json"))


def break_tracking(root):
    (root / "pyproject.toml").write_text('[tool.repro.wandb]\nmode = "sometimes"\n')
