"""What git knows of the project, for the record of a run: commit, changes, files it does not track yet."""

from __future__ import annotations

import fnmatch
import io
import os
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

# What decides whether a run is of a clean commit.
WATCHED = ("src", "pyproject.toml", "requirements.lock", "params.yaml", "presets")
# Names of files that hold keys and passwords, in small letters.
SECRETS = (
    *(".env*", "*.env", "*netrc", ".npmrc", ".pypirc", ".pgpass", "kaggle.json", "*.pem", "*.key"),
    *("id_rsa*", "id_ecdsa*", "id_ed25519*", "*credentials*", "*secret*", "*password*", "*api[-_]key*"),
    *("*token", "*token.*"),
)
MAX_FILE_BYTES = 1_000_000
MAX_BYTES = 20_000_000  # of untracked files in all; a folder of data may hold any number


@dataclass
class GitState:
    """`commit` is None without git, without a commit, or where git does not track the project; `notes` say which."""

    commit: str | None = None
    dirty: bool = True
    diff: bytes | None = None  # of tracked files but SECRETS against the commit, as `git apply` takes it
    untracked: list[str] = field(default_factory=list)  # neither tracked nor ignored
    notes: list[str] = field(default_factory=list)


def read_git(root: Path) -> GitState:
    """The state of the project's repository. Never fails: what is not known is noted."""
    try:
        if not _git(root, "ls-files", "--cached", "--", "pyproject.toml"):
            return GitState(notes=["git does not track this project: the code is kept in the snapshot only"])
        untracked = ("ls-files", "-z", "--others", "--exclude-standard", "--", ".", ":(exclude)runs")
        try:
            commit = _git(root, "rev-parse", "--verify", "HEAD^{commit}").decode().strip()
        except subprocess.CalledProcessError:
            staged = _names(_git(root, "ls-files", "-z", "--cached", "--", "."))
            notes = ["no commit yet: all files are in untracked.tar.gz"]
            return GitState(untracked=staged + _names(_git(root, *untracked)), notes=notes)
        changed = _names(_git(root, "diff", "HEAD", "--name-only", "-z", "--", *_secrets("icase")))
        others = [".", *_secrets("exclude,icase")]
        return GitState(
            commit=commit,
            dirty=bool(_git(root, "status", "--porcelain", "--untracked-files=normal", "--", *WATCHED)),
            diff=_git(root, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--", *others),
            untracked=_names(_git(root, *untracked)),
            notes=[f"not in code.diff: {', '.join(changed)} (it holds no secrets)"] if changed else [],
        )
    except FileNotFoundError:
        return GitState(notes=["git is not installed: the code is kept in the snapshot only"])
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[0]
        return GitState(notes=[f"git failed, so the code is kept in the snapshot only: {reason}"])


def write_untracked(root: Path, names: list[str], archive: Path) -> list[str]:
    """Pack the untracked files that may be code: text, small, no secrets. Returns a note on the others, if any."""
    left_out, packed = [], 0
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in names:
            content = _read_text(root / name) if packed < MAX_BYTES else None
            if content is None:
                left_out.append(name)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed += len(content)
            tar.addfile(entry, io.BytesIO(content))
    if not left_out:
        return []
    shown = ", ".join(left_out[:5]) + (f" and {len(left_out) - 5} more" if len(left_out) > 5 else "")
    return [f"not in untracked.tar.gz: {shown} (it holds text of up to 1 MB a file, 20 MB in all, and no secrets)"]


def _read_text(path: Path) -> bytes | None:
    """The content of an ordinary small text file, else None."""
    secret = any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in SECRETS)
    try:
        if secret or path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    return None if b"\0" in content else content


def _secrets(magic: str) -> list[str]:
    """SECRETS in any folder as git's pathspecs."""
    return [f":({magic},glob)**/{name}" for name in SECRETS]


def _git(root: Path, *arguments: str) -> bytes:
    # Set when called from a git hook, these would point to another repository.
    misleading = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
    environment = {name: value for name, value in os.environ.items() if name not in misleading}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}  # runs may start at the same moment
    options = ["-c", "core.fsmonitor=false", "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false"]
    return subprocess.run(
        ["git", *options, *arguments], cwd=root, env=environment, capture_output=True, check=True
    ).stdout


def _names(listing: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listing.split(b"\0") if name]
