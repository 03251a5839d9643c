"""The project, its code, and the copy of the code that a run uses.

A snapshot is named by the hash of what it holds, so that runs of the same code share one, and editing the
project while a run is queued, running or waiting to be resumed changes nothing for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path, PurePosixPath

from repro.files import storage_error
from repro.reading import UserError, parse_toml

CODE_FILES = ("pyproject.toml", "requirements.lock")  # and everything under src/
SWEEP_SECONDS = 24 * 3600  # a folder half-made for longer belongs to no living process


def project_root(start: Path | None = None) -> Path:
    """The nearest folder upwards that is a project: `params.yaml`, and `[tool.repro]` in pyproject.toml."""
    try:
        start = Path(start or Path.cwd()).resolve()
    except FileNotFoundError:
        raise UserError("the current folder was deleted; change to another (cd)") from None
    without_params = None
    for folder in (start, *start.parents):
        if _is_project(folder / "pyproject.toml"):
            if (folder / "params.yaml").is_file():
                return folder
            without_params = without_params or folder
    if without_params:
        raise UserError(f"{without_params / 'params.yaml'}: no such file; copy one of {without_params / 'presets'}")
    raise UserError(f"{start}: not inside a project; change to a folder that holds params.yaml and pyproject.toml")


def _is_project(pyproject: Path) -> bool:
    try:
        content = pyproject.read_bytes()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    return "repro" in parse_toml(content, str(pyproject)).get("tool", {})


def code_hash(root: Path) -> str:
    """16 hex digits that name the code: src/, requirements.lock, and of pyproject.toml what is installed.

    The parameters are no part of it, nor the settings of tools: another W&B mode or line length is the same code.
    """
    return _hash(read_code(root))


def snapshot_path(root: Path, code: str) -> Path:
    """The snapshot with this code hash. Raises UserError if it is not there."""
    path = root / "runs" / ".snapshots" / code
    if not path.is_dir():
        raise UserError(f"{path}: no such snapshot; the code of this run was deleted, so it can only be started anew")
    return path


def snapshot_code(root: Path) -> Path:
    """Keep a copy of the code under `runs/.snapshots/<code hash>`, unless it is there. Raises UserError.

    Several processes may do so at once: each writes its own folder, and one is renamed into place.
    """
    files = read_code(root)
    store = root / "runs" / ".snapshots"
    sweep_leftovers(store)
    path = store / _hash(files)
    if not path.is_dir():
        temporary = store / f".new-{secrets.token_hex(8)}"
        try:
            _write_files(temporary, files)
            os.rename(temporary, path)
        except OSError as error:
            if not path.is_dir():  # else another process was quicker
                raise storage_error(path, error) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    if code_hash(path) != path.name:
        raise UserError(f"{path}: was changed since it was made; delete this folder and try again")
    return path


def read_code(root: Path) -> dict[str, bytes]:
    """Path below `root`, a project or a snapshot -> content. Read once, so that what is hashed is what is copied."""
    paths = [root / name for name in CODE_FILES if (root / name).is_file()]
    for folder, subfolders, names in os.walk(root / "src"):
        subfolders[:] = [name for name in subfolders if not _is_byproduct(name)]
        if links := [name for name in subfolders if os.path.islink(Path(folder, name))]:
            raise UserError(
                f"{Path(folder, links[0])}: is a link to a folder, which is not archived; copy it here instead"
            )
        paths += [Path(folder, name) for name in names if not _is_byproduct(name)]
    try:
        return {PurePosixPath(path.relative_to(root)).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}); the code cannot be archived") from None


def _is_byproduct(name: str) -> bool:
    """Written by tools beside the code: caches, installation records, editors' backups. As src/.dvcignore has it."""
    by_an_editor = name.startswith(".") or name.endswith("~") or (name.startswith("#") and name.endswith("#"))
    return by_an_editor or name == "__pycache__" or name.endswith((".pyc", ".egg-info"))


def _hash(files: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for path in sorted(files):
        content = _installed(files[path]) if path == "pyproject.toml" else files[path]
        total.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()[:16]


def _installed(pyproject: bytes) -> bytes:
    """The tables of a pyproject.toml that say what is built and installed."""
    tables = parse_toml(pyproject, "pyproject.toml")
    return json.dumps(
        {name: tables.get(name) for name in ("build-system", "project")}, default=str, sort_keys=True
    ).encode()


def sweep_leftovers(folder: Path) -> None:
    """Remove what killed processes left half-made in `folder` long ago."""
    for leftover in (*folder.glob(".new-*"), *folder.glob(".*.tmp")):
        with contextlib.suppress(FileNotFoundError):  # another process finished it, or sweeps too
            if leftover.stat().st_mtime < time.time() - SWEEP_SECONDS:
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    leftover.unlink()


def _write_files(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o444)  # not to be edited by accident
