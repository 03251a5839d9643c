"""What a new run folder records of code, parameters, data and machine; and that it holds no secret."""

import json
import os
import subprocess
import sys
import tarfile

import pytest
from archive_examples import CONFIG, ENVIRONMENT, git, make_project, new_run

from repro.reading import read_yaml
from repro.tracking import provenance


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def test_a_clean_commit(repository):
    run = new_run(repository, command=["repro", "train"], cell="test/seed-7", question="Will it?", overrides=["a.b=1"])
    record = json.loads((run.path / "run.json").read_text())
    assert record == run.record
    assert run.path.parent == repository / "runs" and run.id == record["id"]
    assert record["commit"] == git(repository, "rev-parse", "HEAD").strip()
    assert (record["dirty"], record["notes"], record["status"]) == (False, [], "running")
    assert (record["seed"], record["cell"], record["question"]) == (7, "test/seed-7", "Will it?")
    assert record["params"] == CONFIG
    assert record["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["versions"]["project"] == "0.3.1"
    assert record["devices"]["cores"] >= 1
    assert (repository / "runs/.snapshots" / record["code_hash"]).is_dir()
    assert (run.path / "code.diff").read_bytes() == b""
    assert not (run.path / "untracked.tar.gz").exists()
    assert git(repository, "status", "--porcelain") == ""


def test_parameters_come_back_exactly(repository):
    run = new_run(repository)
    assert read_yaml(run.path / "params.yaml") == CONFIG
    assert list(read_yaml(run.path / "params.yaml")) == list(CONFIG)


def test_uncommitted_work_can_be_restored_byte_for_byte(repository, tmp_path):
    git(repository, "config", "diff.noprefix", "true")
    git(repository, "config", "diff.external", "false")
    (repository / "image.bin").write_bytes(bytes(range(256)))
    git(repository, "add", "image.bin")
    (repository / "src/repro/agent.py").write_text("learning_rate = 2\n")
    (repository / "src/repro/naïve 🤖.py").write_text("new\n")
    (repository / "ignored.tmp").write_text("ignored")
    run = new_run(repository)
    assert run.record["dirty"] is True

    restored = tmp_path / "restored"
    git(tmp_path, "clone", "-q", str(repository), str(restored))
    git(restored, "checkout", "-q", run.record["commit"])
    git(restored, "apply", str(run.path / "code.diff"))
    with tarfile.open(run.path / "untracked.tar.gz") as tar:
        assert tar.getnames() == ["src/repro/naïve 🤖.py"]
        tar.extractall(restored, filter="data")
    for name in ("image.bin", "src/repro/agent.py", "src/repro/naïve 🤖.py"):
        assert (restored / name).read_bytes() == (repository / name).read_bytes()


@pytest.mark.parametrize("name", ["README.md", "worklog/today.md"])
def test_the_log_and_reports_do_not_make_a_run_dirty(repository, name):
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("changed")
    assert new_run(repository).record["dirty"] is False


@pytest.mark.parametrize("name", ["params.yaml", "src/repro/new.py", "presets/new.yaml", "pyproject.toml"])
def test_code_and_parameters_make_a_run_dirty(repository, name):
    (repository / name).parent.mkdir(exist_ok=True)
    with open(repository / name, "a") as file:
        file.write("\n")
    assert new_run(repository).record["dirty"] is True


def test_only_small_text_without_secrets_is_packed(repository):
    contents = {".env": b"WANDB_API_KEY=1", "big.csv": b"x" * 1_000_001, "model.pt": b"a\0b", "fine.txt": b"\xe9"}
    for name, content in contents.items():
        (repository / name).write_bytes(content)
    (repository / "gone").symlink_to("nowhere")
    (repository / "link").symlink_to(".env")
    os.mkfifo(repository / "pipe")
    run = new_run(repository)
    with tarfile.open(run.path / "untracked.tar.gz") as tar:
        assert tar.getnames() == ["fine.txt"] and tar.extractfile("fine.txt").read() == b"\xe9"
    (note,) = run.record["notes"]
    assert note.startswith("not in untracked.tar.gz: .env, big.csv, gone, link, model.pt (it holds text")
    (repository / "zz.pem").write_text("key")
    assert ", model.pt and 1 more (it holds" in new_run(repository).record["notes"][0]


def test_new_code_makes_a_run_dirty_where_git_is_set_to_show_no_untracked_files(repository):
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "src/repro").mkdir(parents=True, exist_ok=True)
    (repository / "src/repro/new.py").write_text("x = 1\n")
    assert new_run(repository).record["dirty"] is True


def test_not_all_of_many_untracked_files_are_packed(repository, monkeypatch):
    monkeypatch.setattr("repro.tracking.git.MAX_BYTES", 1000)
    for number in range(4):
        (repository / f"{number}.csv").write_bytes(b"x" * 600)
    run = new_run(repository)
    with tarfile.open(run.path / "untracked.tar.gz") as tar:
        assert tar.getnames() == ["0.csv", "1.csv"]  # the second is the one that reaches the limit
    assert run.record["notes"][0].startswith("not in untracked.tar.gz: 2.csv, 3.csv (it holds text of up to 1 MB a fi")


@pytest.mark.parametrize("state", ["no repository", "no commit", "ignored by an outer repository", "git missing"])
def test_without_a_commit_it_says_so_and_works(project, monkeypatch, state):
    if state == "no commit":
        git(project, "init", "-q")
        git(project, "add", "pyproject.toml")
    if state == "ignored by an outer repository":
        (project.parent / ".gitignore").write_text("project\n")
        git(project.parent, "init", "-q")
        git(project.parent, "add", ".gitignore")
        git(project.parent, "commit", "-qm", "outer")
    if state == "git missing":
        monkeypatch.setenv("PATH", str(project))
    run = new_run(project)
    assert (run.record["commit"], run.record["dirty"], len(run.record["notes"])) == (None, True, 1)
    assert (project / "runs/.snapshots" / run.record["code_hash"] / "src/repro/agent.py").exists()
    if state == "no commit":
        with tarfile.open(run.path / "untracked.tar.gz") as tar:
            assert set(tar.getnames()) == {".gitignore", "pyproject.toml", "params.yaml", "src/repro/agent.py"}


def test_variables_of_a_git_hook_do_not_point_elsewhere(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other-index"))
    assert new_run(repository).record["commit"] is not None


def test_no_secret_is_stored(repository, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123")
    monkeypatch.setenv("UNRELATED_SETTING", "visible-only-in-the-environment")
    command = ["repro", "--api-key", "first-secret", "--token=second-secret", "HF_TOKEN=third-secret", "--seed", "1"]
    command += ["https://me:fourth-secret@example.org/x", "--note=0123456789abcdef0123"]
    run = new_run(repository, command=command, overrides=["agent.learning_rate=3e-4", "x.password=fifth-secret"])
    assert provenance.redact(["--set", "tokenizer=bpe", "agent.secretary=1"]) == [
        *("--set", "tokenizer=bpe", "agent.secretary=1"),
    ]
    everything = b"".join(path.read_bytes() for path in run.path.iterdir())
    assert b"secret" not in everything and b"0123456789abcdef0123" not in everything
    assert b"visible-only-in-the-environment" not in everything
    assert run.record["command"][:2] == ["repro", "--api-key"] and run.record["command"][5:7] == ["--seed", "1"]
    assert run.record["overrides"] == ["agent.learning_rate=3e-4", "x.password=***"]


SECRET_FILES = (".envrc", "secrets.yaml", "deep/hub/token", "API_KEY.txt", ".pypirc", "id_ecdsa", "passwords.txt")


@pytest.mark.parametrize("name", SECRET_FILES)
def test_a_file_of_secrets_is_archived_neither_new_nor_changed(repository, name):
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("harmless\n")
    (repository / "params.yaml").write_text("name: changed\n")
    run = new_run(repository)
    with tarfile.open(run.path / "untracked.tar.gz") as tar:
        assert tar.getnames() == []
    git(repository, "add", "-f", name)
    git(repository, "commit", "-qm", "a mistake", "--", name)
    (repository / name).write_text("a-real-key\n")
    run = new_run(repository)
    diff = (run.path / "code.diff").read_text()
    assert "name: changed" in diff and "a-real-key" not in diff and name not in diff
    assert run.record["notes"] == [f"not in code.diff: {name} (it holds no secrets)"]


def test_data_hashes_are_those_dvc_recorded_for_the_cell(repository):
    entry = "    - path: data/{0}\n      hash: md5\n      md5: {1}\n      size: 5\n"
    (repository / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  collect@100:\n    cmd: repro prefs\n    outs:\n"
        + entry.format("test/seed-100", "aa.dir")
        + entry.format("test/seed-1001", "bb.dir")
    )
    assert new_run(repository, cell="test/seed-100").record["data_hashes"] == {"data/test/seed-100": "aa.dir"}
    assert new_run(repository).record["data_hashes"] == {}


def test_devices_never_import_torch():
    code = "import sys, repro.tracking.archive, repro.views.listing, repro.tracking.wandb, repro.tracking.provenance\n"
    code += "repro.tracking.provenance.devices(); print(sorted({'torch', 'wandb', 'numpy', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "gpus" in provenance.devices() or "torch" not in sys.modules
