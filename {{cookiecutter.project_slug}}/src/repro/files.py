"""Writing files: whole or nothing, and one clear line when the disk refuses."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any

from repro.reading import UserError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_atomic(path: Path, content: bytes) -> None:
    """Replace `path` by `content`; a reader, or a crash, sees the old file or the new one. Raises UserError.

    A link is followed, and the old file's permissions are kept. A killed process may leave `.<name>.<random>.tmp`.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise storage_error(path, error) from None
        raise


def make_folder(path: Path) -> None:
    """Make the folder, and those above it, where they are not there. Raises UserError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from None


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as readable JSON; names of files in it need not be text. Raises UserError."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    write_atomic(path, text.encode("utf-8", "backslashreplace"))


def storage_error(path: Path, error: OSError) -> UserError:
    """The line a user can act on, for an error met while writing `path`."""
    if error.errno in DISK_FULL:
        return UserError(f"{path}: the disk is full ({error.strerror}); free some space and try again")
    if isinstance(error, FileNotFoundError) and not path.parent.exists():
        return UserError(f"{path}: the folder {path.parent} is gone; was it deleted while in use?")
    return UserError(f"{path}: cannot be written ({error.strerror or error}); check the folder and its permissions")
