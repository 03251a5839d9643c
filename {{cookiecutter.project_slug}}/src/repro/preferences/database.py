"""The file of a preference store: opening it, checking it, transactions, and errors in plain words.

Durability: with the write-ahead log, what was committed survives a killed process in any case.
`synchronous=FULL` makes it survive a power failure too, for one fsync per transaction: a person's label
takes seconds to give and cannot be had again, and a checkpoint must not know of labels that its store
has lost. Many small writes belong in one `transaction()`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from repro.preferences.schema import APPLICATION, SCHEMA, VERSION
from repro.reading import UserError

_BUSY_SECONDS = 30.0  # how long a writer waits for another
_HINTS = {  # by the start of what SQLite calls the error
    "SQLITE_FULL": "; is the disk full?",
    "SQLITE_IOERR": "; is the disk full?",
    "SQLITE_READONLY": "; check its permissions, and those of its folder",
    "SQLITE_CANTOPEN": "; check that the folder is there, and its permissions",
    "SQLITE_BUSY": f"; another process has been writing for {_BUSY_SECONDS:.0f} seconds, or is stuck",
}


class Database:
    """A preference database, which several processes may have open.

    path: created if missing. environment: what the segments come from; a store made for another is refused.
    Whatever fails in the database is raised as a UserError that names the file.
    """

    def __init__(self, path: Path, environment: str | None = None) -> None:
        self.path = path
        self._file: tuple[int, int] | None = None  # which file it is, once it is open
        with self._explained():  # transactions are begun and ended here, not by the module (isolation_level)
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            with self._explained():
                self._prepare(environment)
            self._file = self._file_now()
        except BaseException:
            self.close()
            raise

    def _prepare(self, environment: str | None) -> None:
        """Make sure that the file is a store we can use, after creating the tables if it is empty."""
        execute = self._connection.execute
        execute("PRAGMA foreign_keys = ON")
        execute("PRAGMA synchronous = FULL")
        if self._is_empty():
            self._write_ahead()
            with self.transaction():
                if self._is_empty():  # still, now that no other process can write
                    for statement in SCHEMA:
                        execute(statement)
        if self.value("PRAGMA application_id") != APPLICATION:
            raise UserError(f"{self.path}: not a preference database; move it away or name another")
        version = self.value("PRAGMA user_version")
        if version != VERSION:
            age = "older" if version < VERSION else "newer"
            raise UserError(
                f"{self.path}: has format version {version}; this code reads version {VERSION} only; "
                f"use the {age} code that wrote it"
            )
        damage = self.value("PRAGMA quick_check(1)")
        if damage != "ok":
            raise UserError(f"{self.path}: damaged ({' '.join(damage.split())}); restore it from a copy")
        if loose := self.rows("PRAGMA foreign_key_check"):  # labels without queries, queries without segments
            raise UserError(
                f"{self.path}: damaged: {loose[0]['table']} name {len(loose)} {loose[0]['parent']} that are not there; "
                "restore it from a copy"
            )
        if environment is not None and self.environment is None:
            execute("INSERT INTO metadata VALUES ('environment', ?) ON CONFLICT DO NOTHING", (environment,))
        if environment is not None and self.environment != environment:
            raise UserError(f"{self.path}: holds preferences for {self.environment}, not for {environment}")

    def _write_ahead(self) -> None:
        """Turn the write-ahead log on. SQLite does not wait here for other processes, so that we have to."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _is_empty(self) -> bool:
        return self.value("SELECT count(*) FROM sqlite_master") == 0

    @property
    def environment(self) -> str | None:
        """What the segments come from, if it was said."""
        return self.value("SELECT max(value) FROM metadata WHERE key = 'environment'")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are committed together at the end, or none of them."""
        if self._connection.in_transaction:  # the outer one commits
            yield
            return
        self._check_there()
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        self._check_there()  # what was just committed, too, may have gone into a deleted file

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement; a write that belongs with others goes into a `transaction()`."""
        self._check_there()
        with self._explained():
            return self._connection.execute(statement, parameters)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query, by the names of its columns."""
        cursor = self.execute(query, parameters)
        with self._explained():
            columns = [column[0] for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor]

    def value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The first value of the first row."""
        return self.execute(query, parameters).fetchone()[0]

    def close(self) -> None:
        """Close the database; the store cannot be used afterwards."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_there(self) -> None:
        """Raise UserError if the file was deleted or replaced while it was open; what it held is saved first.

        The system keeps a deleted file for those who have it open: writes to it would succeed, and be lost at the end.
        """
        if self._connection.in_transaction or self._file in (None, self._file_now()):
            return
        self._file = None
        saved = self.path.with_name(f"{self.path.name}.rescued-{os.getpid()}")
        try:
            with self._explained():
                self._connection.execute("VACUUM INTO ?", (str(saved),))
        except UserError as error:
            fate = f"what it held could not be saved either ({error})"
        else:
            fate = f"what it held is in {saved.name} now; move that back and go on"
        self.close()
        raise UserError(f"{self.path}: was deleted or replaced while in use; {fate}")

    def _file_now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what the database reports as a UserError that names the file."""
        try:
            yield
        except sqlite3.Error as error:
            cause = getattr(error, "sqlite_errorname", "")  # absent where the module itself complains
            hint = next((hint for start, hint in _HINTS.items() if cause.startswith(start)), "")
            raise UserError(f"{self.path}: {error}{hint}") from error
