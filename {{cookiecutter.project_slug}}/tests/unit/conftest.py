"""Fixtures that several files of unit tests share; what they are made of is in the modules of examples."""

import os

import pytest
from archive_examples import git, make_project
from gate_examples import CHECKLIST
from user_files import write_budget, write_checklist
from wandb_examples import FAKE_KEY, OTHERS, children
from wandb_server import Service


@pytest.fixture
def repository(tmp_path):
    """A project with all of it committed."""
    root = make_project(tmp_path)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project with what the pre-launch gate reads."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    (tmp_path / "pyproject.toml").write_text('[tool.repro.wandb]\nmode = "offline"\n')
    write_budget(tmp_path)
    write_checklist(tmp_path, CHECKLIST)
    return tmp_path


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "2026-11-21_dot_7f3a"
    folder.mkdir()
    return folder


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """Neither this user's login to W&B nor their settings."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no-config"))


@pytest.fixture
def processes_of_others():
    OTHERS.clear()
    OTHERS.update(children(os.getpid()))


@pytest.fixture
def server(monkeypatch):
    """A W&B service on this machine, at which somebody is logged in."""
    server = Service()
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    monkeypatch.setenv("WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL", "1")  # second, a whole one, instead of 15
    yield server
    server.stop()
