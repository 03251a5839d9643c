"""The project with the pipeline of dvc.yaml, for the tests that run the real DVC."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from project import SOURCE, Project
from user_files import DVC

STAGE = re.compile(r"^Running stage '(\S+)':", re.MULTILINE)
# What the pipeline lives in, beside the code.
FILES = [
    *(".dvc/config", ".dvc/.gitignore", ".dvcignore", "src/.dvcignore", ".gitignore"),
    *(
        "data/.gitignore",
        "models/.gitignore",
        "results/curves/.gitignore",
        "results/cells/.gitkeep",
        "reports/.gitkeep",
    ),
]
STAGES = ("collect", "train", "evaluate")
AFTER_A_SEED = [f"{stage}@{{}}" for stage in STAGES]


class Pipeline(Project):
    """The project with git and DVC, and a remote beside it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for name in FILES:
            source, target = SOURCE / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy(source, target)
        self.write("README.md", "<!-- results:start -->\n<!-- results:end -->\n")
        (root / "paper").mkdir()
        self.write("paper/claims.yaml", "paper: {}\nclaims: []\n")  # those of the project are of other experiments
        self.write("dvc.yaml", DVC)
        self.changed: list[str] = []
        self.change("training", "total_steps", 1536)
        self.env |= {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root.parent / "site"), "HOME": str(root.parent)}
        for role in ("AUTHOR", "COMMITTER"):
            self.env |= {f"GIT_{role}_NAME": "A Tester", f"GIT_{role}_EMAIL": "tester@example.com"}
        self.use_this_python(root.parent / "bin")
        self.git("init", "-q", "-b", "main")
        self.dvc("remote", "add", "--force", "--default", "storage", "../remote")
        self.commit("start")

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def use_this_python(self, folder: Path) -> None:
        """Have dvc.yaml's `repro` be this Python's."""
        folder.mkdir()
        command = folder / "repro"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m repro.cli "$@"\n')
        command.chmod(0o755)
        self.env["PATH"] = f"{folder}{os.pathsep}{self.env['PATH']}"

    def run(self, *command: str, cwd: Path | None = None) -> str:
        done = subprocess.run(command, cwd=cwd or self.root, env=self.env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def dvc(self, *arguments: str, cwd: Path | None = None) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, cwd=cwd)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def reproduce(self) -> list[str]:
        """`dvc repro`; returns the names of the stages that ran."""
        return STAGE.findall(self.dvc("repro"))

    def change(self, section: str, parameter: str, value: object) -> None:
        params = json.loads(self.params.read_text())
        params[section][parameter] = value
        self.params.write_text(json.dumps(params, indent=1))

    def cell(self, seed: int) -> dict:
        return json.loads((self.root / f"results/cells/tiny/seed-{seed}.json").read_text())
