"""The project folder, the hash of its code, and the copy that a run uses."""

import multiprocessing
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

import repro
from repro.reading import UserError
from repro.tracking.snapshot import code_hash, project_root, snapshot_code, snapshot_path

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    (root / "src/repro/page").mkdir(parents=True)
    (root / "src/repro/__init__.py").write_text("")
    (root / "src/repro/page/index.html").write_text("<p>é</p>")
    (root / "pyproject.toml").write_text("[project]\nname = 'test'\n[tool.repro.wandb]\nmode = 'disabled'\n")
    (root / "requirements.lock").write_text("numpy==2.4.6\n")
    (root / "params.yaml").write_text("name: test\n")
    return root


def test_the_root_is_found_from_below_and_from_inside_a_snapshot(project):
    assert project_root(project) == project
    assert project_root(project / "src/repro/page") == project
    assert project_root(snapshot_code(project) / "src/repro") == project


def test_a_folder_that_is_no_project_is_named(tmp_path, project):
    with pytest.raises(UserError, match=rf"{tmp_path}: not inside a project"):
        project_root(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(UserError, match="not inside a project"):
        project_root(tmp_path)
    (project / "params.yaml").unlink()
    with pytest.raises(UserError, match=r"params\.yaml: no such file; copy one of .*presets"):
        project_root(project / "src")
    (project / "pyproject.toml").write_text("[tool.repro\n")
    with pytest.raises(UserError, match=r"pyproject\.toml: not valid TOML"):
        project_root(project)


def test_the_hash_speaks_of_the_code_and_nothing_else(project):
    before = code_hash(project)
    assert len(before) == 16 and int(before, 16) >= 0
    (project / "params.yaml").write_text("name: other\n")
    (project / "README.md").write_text("new")
    (project / "src/repro/__pycache__").mkdir()
    (project / "src/repro/__pycache__/a.cpython-311.pyc").write_bytes(b"1")
    (project / "src/project.egg-info").mkdir()
    (project / "src/project.egg-info/PKG-INFO").write_text("1")
    (project / "src/repro/.page.py.swp").write_text("1")
    (project / "pyproject.toml").write_text("# mine\n[tool.repro.wandb]\nmode = 'online'\n[project]\nname = 'test'\n")
    assert code_hash(project) == before


@pytest.mark.parametrize(
    "name", ["src/repro/__init__.py", "src/repro/page/index.html", "requirements.lock", "src/new.py"]
)
def test_any_change_of_code_changes_the_hash_and_taking_it_back_restores_it(project, name):
    before = code_hash(project)
    path = project / name
    content = path.read_bytes() if path.exists() else None
    path.write_bytes(b"\n# changed" if content is None else content + b"\n# changed")
    assert code_hash(project) != before
    path.unlink() if content is None else path.write_bytes(content)
    assert code_hash(project) == before


@pytest.mark.parametrize("change", ["dependencies = ['numpy']", "[build-system]\nrequires = ['hatchling']"])
def test_what_is_installed_is_code(project, change):
    before = code_hash(project)
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace("name = 'test'", f"name = 'test'\n{change}"))
    assert code_hash(project) != before


def test_a_broken_pyproject_is_named(project):
    (project / "pyproject.toml").write_text("[project\n")
    with pytest.raises(UserError, match=r"pyproject\.toml: not valid TOML"):
        code_hash(project)


def test_runs_whose_settings_of_tools_differ_share_a_snapshot(project):
    path = snapshot_code(project)
    kept = (path / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(kept.replace("disabled", "online"))
    assert snapshot_code(project) == path and (path / "pyproject.toml").read_text() == kept


def test_a_linked_folder_is_refused_as_its_code_would_not_be_archived(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (project / "src/linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"src/linked: is a link to a folder, which is not archived; copy it"):
        code_hash(project)


def test_moving_a_file_or_a_byte_between_files_changes_the_hash(project):
    (project / "src/a.py").write_text("xy")
    (project / "src/b.py").write_text("z")
    before = code_hash(project)
    (project / "src/a.py").write_text("x")
    (project / "src/b.py").write_text("yz")
    assert code_hash(project) != before
    (project / "src/a.py").write_text("z")
    (project / "src/b.py").write_text("xy")
    assert code_hash(project) != before


def test_a_snapshot_keeps_the_code_as_it_was(project):
    path = snapshot_code(project)
    assert path == project / "runs/.snapshots" / code_hash(project) == snapshot_path(project, code_hash(project))
    (project / "src/repro/__init__.py").write_text("changed = True")
    assert (path / "src/repro/__init__.py").read_text() == ""
    assert (path / "src/repro/page/index.html").read_text() == "<p>é</p>"
    assert code_hash(path) == path.name
    assert snapshot_code(project) != path
    (project / "src/repro/__init__.py").write_text("")
    assert snapshot_code(project) == path
    assert len(list((project / "runs/.snapshots").iterdir())) == 2  # nothing temporary is left


def test_code_runs_from_a_snapshot_and_does_not_change_it(project):
    path = snapshot_code(project)
    code = "import repro; print(repro.__file__)"
    environment = os.environ | {"PYTHONPATH": str(path / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(path)
    assert snapshot_code(project) == path


def test_what_a_killed_process_left_is_swept_after_a_day(project):
    store = project / "runs/.snapshots"
    for folder in (store / ".new-old", store / ".new-young", store / "kept"):
        (folder / "src").mkdir(parents=True)
        age = 0 if "young" in folder.name else 2 * 24 * 3600
        os.utime(folder, (time.time() - age,) * 2)
    path = snapshot_code(project)
    assert {entry.name for entry in store.iterdir()} == {".new-young", "kept", path.name}


def test_an_edited_snapshot_is_refused(project):
    path = snapshot_code(project)
    file = path / "src/repro/__init__.py"
    file.chmod(0o644)
    file.write_text("sneaky = True")
    with pytest.raises(UserError, match=rf"{path.name}: was changed since it was made; delete"):
        snapshot_code(project)
    with pytest.raises(UserError, match="no such snapshot"):
        snapshot_path(project, "0" * 16)


def test_processes_that_snapshot_at_once_all_get_it(project):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        paths = pool.map(snapshot_code, [project] * 24)
    assert set(paths) == {project / "runs/.snapshots" / code_hash(project)}
    assert len(list((project / "runs/.snapshots").iterdir())) == 1


def test_a_full_disk_leaves_no_half_snapshot(project):
    (project / "src/repro/large.py").write_text("#" * 10_000)
    code = (
        "import sys; from pathlib import Path; from repro.reading import UserError\n"
        "from repro.tracking.snapshot import snapshot_code\n"
        "try: snapshot_code(Path(sys.argv[1]))\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, project],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "") and "disk is full" in done.stdout
    assert list((project / "runs/.snapshots").iterdir()) == []
    assert snapshot_code(project).is_dir()
