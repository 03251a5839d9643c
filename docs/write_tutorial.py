"""Writes the output of its commands into the tutorial: `python docs/write_tutorial.py PROJECT_PYTHON` (minutes).

A project is made in a temporary folder. Each line after `$ ` in a block `console` of tutorial.md is typed there, one
after the other, and without a shell; what it prints replaces what stood below it. PROJECT_PYTHON is the Python of an
environment with a project's packages.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/tutorial.md"
PROJECT = "moving-dot-from-preferences"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLUMNS = "110"


def environment(home: Path, python: Path) -> dict[str, str]:
    """What commands see: the project's packages, nothing of the person who writes this."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "WANDB_", "DVC_"))}
    programs = home / "bin"
    programs.mkdir()
    # `repro` of the project that is made, whatever project the environment belongs to.
    script = f'#!/bin/sh\nPYTHONPATH={home}/{PROJECT}/src exec {python} -P -m repro.cli "$@"\n'
    (programs / "repro").write_text(script)
    (programs / "repro").chmod(0o755)
    folders = [programs, python.parent, Path(sys.executable).parent, os.environ["PATH"]]
    return kept | {
        "PATH": os.pathsep.join(map(str, folders)),
        "TEMPLATE": str(ROOT),
        "HOME": str(home),
        **{f"GIT_{who}_{what}": "you@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        "GIT_CONFIG_NOSYSTEM": "1",
        "WANDB_MODE": "disabled",
        "DVC_NO_ANALYTICS": "1",
        "OMP_NUM_THREADS": "1",
        "NO_COLOR": "1",
        "COLUMNS": COLUMNS,
    }


def output(command: str, folder: Path, env: dict[str, str]) -> str:
    """What a command prints, as it is seen when it has ended. Raises SystemExit if it failed."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    words = [word.replace("$TEMPLATE", env["TEMPLATE"]) for word in shlex.split(command)]
    done = subprocess.run(words, cwd=folder, env=env, text=True, **streams)
    if done.returncode and not command.startswith("repro doctor"):  # which tells of illness by its exit code
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout}")
    lines = CONTROL.sub("", done.stdout).split("\n")
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in lines).strip("\n")


def main(python: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        env, folder = environment(home, python), home

        def typed(block: re.Match[str]) -> str:
            nonlocal folder
            shown = []
            for command in re.findall(r"^\$ (.*)$", block[1], re.MULTILINE):
                print(f"$ {command}", flush=True)
                if command.startswith("cd "):
                    folder = folder / command.removeprefix("cd ")
                    shown.append(f"$ {command}")
                    continue
                printed = output(command, folder, env).replace(str(home), "…").replace(str(ROOT), "…")
                shown.append(f"$ {command}\n{printed}".rstrip("\n"))
            return "```console\n" + "\n".join(shown) + "\n```"

        text = PAGE.read_text(encoding="utf-8")
        block = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
        PAGE.write_text(block.sub(typed, text), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
