"""`output.log`: all that a run printed, as it would read on paper."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from repro.files import storage_error
from repro.reading import UserError

# Colours, cursor movements, window titles: ECMA-48 control sequences and operating system commands.
CONTROL = re.compile(
    r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"  # all but tab, newline and carriage return
)


@contextlib.contextmanager
def tee_output(path: Path) -> Iterator[None]:
    """Append what is printed to stdout and stderr to `path` as well, with the traceback if the block fails.

    The terminal gets it unchanged and stays a terminal to those who ask. The file gets whole lines, at once, without
    colours; of a line that is drawn over again and again, such as a progress bar, the last state. A crash of the
    interpreter itself leaves its stacks there (faulthandler). If the file cannot be written any more, the print of
    the main thread that meets this raises UserError, once; then printing goes on to the terminal only.
    """
    log = _Log(path)
    streams = sys.stdout, sys.stderr
    stacks_elsewhere = faulthandler.is_enabled()
    faulthandler.enable(log.descriptor)
    sys.stdout, sys.stderr = (_Tee(stream, log) for stream in streams)
    try:
        yield
    except UserError as error:
        log.add(f"error: {error}\n")
        raise
    except Exception:
        log.add(traceback.format_exc())
        raise
    finally:
        for tee in (sys.stdout, sys.stderr):
            if isinstance(tee, _Tee):
                tee.finish()
        sys.stdout, sys.stderr = streams
        faulthandler.disable()
        if stacks_elsewhere and sys.__stderr__ is not None:
            faulthandler.enable(sys.__stderr__)
        log.close()
    log.raise_error()


@contextlib.contextmanager
def keep_warnings(path: Path) -> Iterator[None]:
    """Append what is printed to stderr to `path` as well, for where nobody can see the terminal.

    Nothing fails here: where the file cannot be written, what was to be warned of may be just that.
    """
    warnings = io.StringIO()
    try:
        with contextlib.redirect_stderr(warnings):
            yield
    finally:
        if text := warnings.getvalue():
            print(text, end="", file=sys.stderr)
            with contextlib.suppress(UserError):
                log = _Log(path)
                log.add(text)
                log.close()


class _Log:
    """The file. Remembers the first error until `raise_error`, and writes nothing after it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: UserError | None = None
        self.broken = False
        try:
            self.descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise storage_error(path, error) from None

    def add(self, text: str) -> None:
        """Write whole lines."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            while data and not self.broken:
                if os.fstat(self.descriptor).st_nlink == 0:
                    raise FileNotFoundError
                data = data[os.write(self.descriptor, data) :]
        except OSError as error:
            self.broken = True
            self.error = storage_error(self.path, error)

    def raise_error(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error

    def close(self) -> None:
        os.close(self.descriptor)


class _Tee:
    """A stream that passes everything on, and whole lines to the log."""

    def __init__(self, stream: TextIO, log: _Log) -> None:
        self._stream = stream
        self._log = log
        self._line = ""
        self._lock = threading.Lock()  # progress bars print from a thread of their own

    def write(self, text: str) -> int:
        count = self._stream.write(text)
        with self._lock:
            *lines, self._line = (self._line + text).split("\n")
            self._line = self._line[self._line.rfind("\r", 0, -1) + 1 :]  # a long bar is not kept whole
            if lines:
                self._log.add("".join(_as_on_paper(line) + "\n" for line in lines))
        if threading.current_thread() is threading.main_thread():
            self._log.raise_error()
        return count

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Log a last line that has no end."""
        with self._lock:
            last, self._line = _as_on_paper(self._line), ""
            if last:
                self._log.add(last + "\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _as_on_paper(line: str) -> str:
    """What is left to see of a line once it was drawn over: the text after its last carriage return."""
    visible = CONTROL.sub("", line.rstrip("\r"))
    return visible[visible.rfind("\r") + 1 :].rstrip()
