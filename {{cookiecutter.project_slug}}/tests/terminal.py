"""A command on a real pseudo-terminal: what a person sees there, and types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import Any

from project import PATIENCE, Project


class Terminal:
    """`repro ...` on a terminal of its own, `columns` wide. `seen` is all it has shown so far."""

    def __init__(self, project: Project, *arguments: str, columns: int = 80, **environment: str) -> None:
        self.fd, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        env = {name: value for name, value in project.env.items() if name != "COLUMNS"} | environment
        options: dict[str, Any] = {"stdin": side, "stdout": side, "stderr": side, "start_new_session": True}
        command = [sys.executable, "-P", "-m", "repro.cli", *arguments]
        self.process = subprocess.Popen(command, cwd=project.root, env=env, **options)
        os.close(side)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Read until `text` is shown after what was seen before."""
        end, start = time.monotonic() + PATIENCE, len(self.seen)
        while text not in self.seen[start:]:
            assert time.monotonic() < end, f"no {text!r} in {self.seen!r}"
            assert self._read() or self.process.poll() is None, f"ended without {text!r}: {self.seen!r}"

    def answer(self, *dialogue: tuple[str, str]) -> None:
        """Type each answer once its prompt is shown."""
        for prompt, text in dialogue:
            self.wait_for(prompt)
            os.write(self.fd, text.encode() + b"\n")

    def end(self) -> int:
        """Read on until the command has ended; returns its exit code."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None or self._read():
            assert time.monotonic() < end, f"still running: {self.seen!r}"
            self._read()
        os.close(self.fd)
        return self.process.returncode

    def _read(self) -> bool:
        try:
            if select.select([self.fd], [], [], 0.1)[0]:
                text = os.read(self.fd, 65536).decode(errors="replace").replace("\r\n", "\n")
                self.seen += text
                return bool(text)
        except OSError:  # the other side is closed
            pass
        return False
