"""SQLite: one file in the home, write-ahead log, every commit on the disk before it counts.

Exactly one connection writes and checkpoints; readers open the file read-only and never do. That also keeps
out of reach of the log-reset defect of SQLite before 3.51.3, which needs two connections that write or
checkpoint at once. The driver opens no transaction of its own (`isolation_level=None`): with its default a
rollback after a released savepoint leaves rows behind. Memory mapping stays off.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from yizhan.errors import StoreBroken, StoreError, StoreInUse, StoreUnavailable
from yizhan.store.engine import READERS, Upserts, cause_of, upserts

BUSY_TIMEOUT_MS = 5_000
CHECKPOINT_PAGES = 4_000
"""The log is copied into the file when it holds this many pages (16 MB): a page that changes often is copied once."""
LOG_MAX_BYTES = 64 * 1024 * 1024
CACHE_KIB = 8_192
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_GONE = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk does not answer",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_READONLY: "the file cannot be written",
    sqlite3.SQLITE_BUSY: "another program has locked the file",
    sqlite3.SQLITE_LOCKED: "another program has locked the file",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_PROTOCOL: "the file's locks do not work",
    sqlite3.SQLITE_PERM: "the file may not be used",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
}

_UPSERTS = upserts(insert)


class SqliteEngine:
    """The file `yizhan.db` in a home and the lock `yizhan.lock` beside it.

    durable False leaves out the waits for the disk; for simulations that never lose power.
    """

    def __init__(self, home: Path, durable: bool = True) -> None:
        self._path = home / "yizhan.db"
        self._lock_path = home / "yizhan.lock"
        self._durable = durable
        self._lock_fd: int | None = None
        self._connection: Connection | None = None
        self._writes = self._engine(StaticPool, self._open_writer)
        event.listen(self._writes, "begin", _begin_immediate)
        self._reads = self._engine(QueuePool, self._open_reader, pool_size=READERS, max_overflow=0)
        event.listen(self._reads, "begin", _begin_snapshot)

    @staticmethod
    def _engine(pool: type[Any], creator: Any, **options: Any) -> Engine:
        return create_engine("sqlite://", poolclass=pool, creator=creator, hide_parameters=True, **options)

    @property
    def dialect(self) -> Dialect:
        return self._writes.dialect

    @property
    def reads(self) -> Engine:
        return self._reads

    def lock(self) -> None:
        self._make_files()
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 64).decode("ascii", "replace").strip()
            os.close(fd)
            raise self._in_use(holder) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()}\n".encode("ascii"), 0)
        self._lock_fd = fd

    def _make_files(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreBroken(
                f"The database {self._path} cannot be opened: {error.strerror}.",
                "Give the home to the user that runs yizhan, or name another one with --home.",
            ) from None

    def _in_use(self, holder: str) -> StoreInUse:
        return StoreInUse(
            f"Another gateway ({holder or 'unknown process'}) is using {self._path.parent}.",
            "Stop it first, or give this one a home of its own with --home.",
        )

    def connect(self) -> Connection:
        if self._connection is None:
            try:
                self._connection = self._writes.connect()
            except DBAPIError as error:
                raise self.judge(error) or self._broken(error) from None
        return self._connection

    def _open_writer(self) -> sqlite3.Connection:
        connection = self._open(f"file:{quote(str(self._path))}?mode=rw")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
        connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit={LOG_MAX_BYTES}")
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        return self._open(f"file:{quote(str(self._path))}?mode=ro")

    @staticmethod
    def _open(uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA mmap_size=0")
        return connection

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return DBAPIError, sqlite3.Error

    def drop(self) -> None:
        """The file stays the same: its connection is kept."""

    def judge(self, error: Exception) -> StoreError | None:
        code = getattr(cause_of(error), "sqlite_errorcode", 0) & 0xFF
        if code in _BROKEN:
            return self._broken(error)
        if code in _GONE:
            return StoreUnavailable(
                f"The database {self._path} could not be written: {_GONE[code]}.",
                "What was accepted is safe; nothing more is accepted until it can be written.",
            )
        return None

    def _broken(self, error: Exception) -> StoreBroken:
        return StoreBroken(
            f"The database {self._path} is damaged or not a database ({cause_of(error)}).",
            f"Move {self._path.name}, {self._path.name}-wal and {self._path.name}-shm away together and start "
            "again, or put a backup in their place.",
        )

    @property
    def upserts(self) -> Upserts:
        return _UPSERTS

    def sign(self, connection: Connection) -> None:
        """The file's lock is held for as long as this process lives: no name is needed."""

    def compact(self) -> None:
        driver = self.connect().connection.driver_connection
        assert driver is not None
        driver.execute("VACUUM")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def limit_pages(self, connection: Connection, spare: int | None) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        limit = 0xFFFFFFFE if spare is None else pages + spare
        connection.exec_driver_sql(f"PRAGMA max_page_count={limit}")

    def close(self) -> None:
        self._reads.dispose()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._writes.dispose()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_snapshot(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
