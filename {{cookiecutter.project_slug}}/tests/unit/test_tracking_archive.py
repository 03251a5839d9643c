"""The run folder: complete or absent, found again, and honest about how the run ended."""

import json
import math
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

import repro
from repro.config import UserError, read_yaml
from repro.tracking import archive, provenance
from repro.tracking.archive import claim_run, create_run, effective_status, finish_run, list_runs, load_run
from repro.tracking.process import is_running, process_start

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}
CONFIG = {"name": "test", "agent": {"learning_rate": 1e-05, "clip": 0.1}, "answer": "no", "list": [1, 2], "none": None}
CREATE = (
    "import sys, time; from pathlib import Path; from repro.config import UserError\n"
    "from repro.tracking.archive import create_run\n"
    "def create():\n"
    "    config = {'x': 'y' * 5000}\n"
    "    return create_run(Path(sys.argv[1]), kind='train', config=config, name='test', seed=1, command=[])\n"
)


def git(root, *arguments):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "src/repro").mkdir(parents=True)
    (root / "src/repro/agent.py").write_text("learning_rate = 1\n")
    (root / "pyproject.toml").write_text("[project]\nname = 'p'\nversion = '0.3.1'\n[tool.repro]\n")
    (root / "params.yaml").write_text("name: test\n")
    (root / ".gitignore").write_text("/runs/\n*.tmp\n")
    return root


@pytest.fixture
def repository(project):
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    return project


def new_run(root, **fields):
    return create_run(
        root, **({"kind": "train", "config": CONFIG, "name": "test", "seed": 7, "command": ["x"]} | fields)
    )


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


def test_large_and_secret_untracked_files_stay_out(repository, monkeypatch):
    monkeypatch.setattr("repro.tracking.git.MAX_FILE_BYTES", 1000)
    for name, content in {".env": "WANDB_API_KEY=1", "big.npz": "x" * 1001, "fine.txt": "x", "gone": ""}.items():
        (repository / name).write_text(content)
    (repository / "gone").unlink()
    (repository / "gone").symlink_to("nowhere")
    os.mkfifo(repository / "pipe")
    run = new_run(repository)
    with tarfile.open(run.path / "untracked.tar.gz") as tar:
        assert {"fine.txt", "gone"} <= set(tar.getnames()) <= {"fine.txt", "gone", "pipe"}
    notes = " ".join(run.record["notes"])
    assert ".env left out: it may hold a secret" in notes and "big.npz left out" in notes


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
    everything = b"".join(path.read_bytes() for path in run.path.iterdir())
    assert b"secret" not in everything and b"0123456789abcdef0123" not in everything
    assert b"visible-only-in-the-environment" not in everything
    assert run.record["command"][:2] == ["repro", "--api-key"] and run.record["command"][5:7] == ["--seed", "1"]
    assert run.record["overrides"] == ["agent.learning_rate=3e-4", "x.password=***"]


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
    code = (
        "import sys, repro.tracking.archive, repro.tracking.listing, repro.tracking.wandb, repro.tracking.provenance\n"
    )
    code += "repro.tracking.provenance.devices(); print(sorted({'torch', 'wandb', 'numpy', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "gpus" in provenance.devices() or "torch" not in sys.modules


def test_twenty_processes_create_runs_at_once(repository):
    with multiprocessing.get_context("fork").Pool(20) as pool:
        runs = pool.map(new_run, [repository] * 20, chunksize=1)
    assert len({run.id for run in runs}) == 20
    records = list_runs(repository)
    assert {record["id"] for record in records} == {run.id for run in runs}
    assert all((record["status"], record["commit"]) == ("running", runs[0].record["commit"]) for record in records)


def test_a_name_that_is_taken_is_never_taken_again(repository, monkeypatch):
    codes = iter(["aaaa", "aaaa", "aaaa", "bbbb"])
    monkeypatch.setattr(archive.secrets, "token_hex", lambda size: next(codes) if size == 2 else "0" * 2 * size)
    first = new_run(repository)
    (first.path / "metrics.jsonl").write_text("precious")
    second = new_run(repository)
    assert (first.id[-4:], second.id[-4:]) == ("aaaa", "bbbb")
    assert load_run(repository, "bbbb").record["id"] == second.id
    assert (first.path / "metrics.jsonl").read_text() == "precious"


@pytest.mark.parametrize("limit", [3000, 5500])  # fails in params.yaml; in run.json
def test_a_full_disk_leaves_nothing_half_made(repository, limit):
    new_run(repository)
    before = sorted(os.listdir(repository / "runs"))
    code = CREATE + "try: create()\nexcept UserError as error: print(error)\n"
    done = subprocess.run(
        [sys.executable, "-c", code, repository],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "") and "disk is full" in done.stdout
    assert done.stdout.count("\n") == 1
    assert sorted(os.listdir(repository / "runs")) == before


def test_a_disk_that_refuses_is_one_line(repository):
    (repository / "runs").write_text("not a folder")
    with pytest.raises(UserError, match="runs"):
        new_run(repository)


def test_saving_over_a_full_disk_keeps_the_old_record(repository):
    run = new_run(repository)
    before = (run.path / "run.json").read_bytes()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            finish_run(run, "finished", 0)
        except UserError as error:
            os._exit(7 if "disk is full" in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert (run.path / "run.json").read_bytes() == before
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_readers_never_see_half_a_record(repository):
    run = new_run(repository)
    pid = os.fork()
    if pid == 0:
        for index in range(150):
            run.update(result="x" * (index * 997 % 50_000))
        os._exit(0)
    reads = 0
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        assert json.loads((run.path / "run.json").read_text())["id"] == run.id
        reads += 1
    assert reads > 20


def test_a_run_ends(repository):
    run = new_run(repository)
    metrics = {"score": 0.25, "loss": math.nan}
    finish_run(run, "finished", 0, result="score 0.25", result_metrics=metrics)
    record = load_run(repository, run.id).record
    assert (record["status"], record["exit_code"], record["result"]) == ("finished", 0, "score 0.25")
    assert record["result_metrics"] == {"score": 0.25, "loss": "NaN"}
    assert record["ended"] >= record["started"] and effective_status(record) == "finished"
    with pytest.raises(ValueError, match="running"):
        finish_run(run, "running", 0)


def test_updating_keeps_what_another_process_wrote(repository):
    run = new_run(repository)
    load_run(repository, run.id).update(question="asked meanwhile")
    finish_run(run, "interrupted", 130)
    record = load_run(repository, run.id).record
    assert (record["question"], record["status"]) == ("asked meanwhile", "interrupted")


def test_a_deleted_folder_is_not_made_anew(repository):
    run = new_run(repository)
    shutil.rmtree(run.path)
    with pytest.raises(UserError, match="is gone"):
        finish_run(run, "finished", 0)
    assert not run.path.exists()


def test_a_killed_run_has_crashed_until_it_is_resumed(repository):
    code = CREATE + "print(create().id, flush=True); time.sleep(60)\n"
    process = subprocess.Popen([sys.executable, "-c", code, repository], stdout=subprocess.PIPE, env=ENVIRONMENT)
    run = load_run(repository, process.stdout.readline().decode().strip())
    assert effective_status(run.record) == "running"
    with pytest.raises(UserError, match=f"is being done by process {process.pid}"):
        claim_run(run)
    process.send_signal(signal.SIGKILL)
    time.sleep(0.05)
    assert effective_status(run.record) == "crashed"  # although nobody has waited for the process yet
    process.wait()
    assert effective_status(run.record) == "crashed"
    assert effective_status(run.record | {"host": "elsewhere"}) == "running"  # cannot be told from here

    claim_run(run)
    assert (run.record["pid"], len(run.record["resumed"])) == (os.getpid(), 1)
    assert effective_status(load_run(repository, run.id).record) == "running"
    claim_run(run)  # already ours
    assert len(run.record["resumed"]) == 1


def test_a_process_is_its_id_and_its_start():
    mine = process_start(os.getpid())
    assert mine is not None and is_running(os.getpid(), mine)
    assert not is_running(os.getpid(), "tick 1")  # the id was given to a new process
    assert not is_running(2**22 + 1, mine)


def test_processes_are_found_without_proc(monkeypatch):
    process = subprocess.Popen(["sleep", "30"])
    monkeypatch.setattr(Path, "exists", lambda path: False)
    start = process_start(process.pid)
    assert start is not None and ":" in start and is_running(process.pid, start)
    process.kill()
    time.sleep(0.05)
    assert process_start(process.pid) is None  # a zombie
    process.wait()
    assert process_start(process.pid) is None


def test_runs_are_found_by_beginning_code_and_path(repository):
    runs = [new_run(repository, name=name) for name in ("dot", "dot", "pong")]
    assert load_run(repository, runs[0].id).id == runs[0].id
    assert load_run(repository, runs[0].id[-4:]).id == runs[0].id
    assert load_run(repository, f"runs/{runs[1].id}/").id == runs[1].id
    assert load_run(repository, runs[2].id[:13]).id == runs[2].id
    with pytest.raises(UserError, match="may be any of") as caught:
        load_run(repository, runs[0].id[:11])
    assert all(run.id in str(caught.value) for run in runs)
    typo = runs[2].id.replace("pong", "pnog")
    with pytest.raises(UserError, match=f"no run '{typo}'; did you mean '?{runs[2].id}"):
        load_run(repository, typo)
    with pytest.raises(UserError, match=r"no run '\.\./\.\.'"):
        load_run(repository, "../..")
    for nothing in ("", ".", "runs/"):
        with pytest.raises(UserError):
            load_run(repository, nothing)


def test_without_runs(project):
    assert list_runs(project) == []
    with pytest.raises(UserError, match="there are no runs yet"):
        load_run(project, "7f3a")


@pytest.mark.parametrize("content", [None, b"", b'{"id": "x", "sta', b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_record_is_listed_not_fatal(repository, content):
    good, bad = new_run(repository), new_run(repository)
    (bad.path / "run.json").unlink()
    if content is not None:
        (bad.path / "run.json").write_bytes(content)
    statuses = {record["id"]: record["status"] for record in list_runs(repository)}
    assert statuses == {good.id: "running", bad.id: "unreadable"}
    with pytest.raises(UserError, match=r"run\.json: missing or damaged") as caught:
        load_run(repository, bad.id)
    assert "\n" not in str(caught.value)


def test_creating_a_run_is_quick_and_so_is_listing_many(repository):
    start = time.perf_counter()
    run = new_run(repository)
    assert time.perf_counter() - start < 0.5
    record = (run.path / "run.json").read_text()
    for index in range(1000):
        path = repository / "runs" / f"2026-01-01_many_{index:04x}"
        path.mkdir()
        (path / "run.json").write_text(record)
    start = time.perf_counter()
    assert len(list_runs(repository)) == 1001
    assert time.perf_counter() - start < 0.5
