"""PostgreSQL by psycopg 3: one connection writes and holds the lock, a few others read.

The advisory lock that keeps a second gateway out belongs to the writing connection itself: whoever has lost
the one cannot write without the other. Between two connections of ours another gateway may have come and
gone; it has left its name in `meta`, and then we must not go on, because what this process remembers is old.
"""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from yizhan.errors import SettingsError, StoreBroken, StoreError, StoreInUse, StoreUnavailable
from yizhan.store.engine import READERS, Upserts, cause_of, upserts

CONNECT_TIMEOUT_S = 5
LOCK_WAIT_S = 1
_KEEPALIVE = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "yizhan",
}
_BROKEN = ("28", "3D", "3F", "XX001", "XX002")
"""SQLSTATE classes: login refused, no such database, no such schema, corrupted data."""
_GONE = ("08", "53", "55006", "57", "58", "25006", "40")
"""Connection lost, resources exhausted (disk full), shutting down, input or output failed, read only, rolled back."""

_UPSERTS = upserts(insert)


class PostgresEngine:
    """The database (and schema) of a `postgresql+psycopg://` URL. `node` names this process in the store."""

    def __init__(self, url: str, node: str) -> None:
        self._url = _parsed(url)
        self._where = self._url.render_as_string(hide_password=True)
        self._node = node
        self._pid: int | None = None
        self._owned = False
        self._connection: Connection | None = None
        self._writes = self._engine(poolclass=NullPool)
        self._reads = self._engine(
            pool_size=READERS,
            max_overflow=0,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
        )

    def _engine(self, **options: Any) -> Engine:
        engine = create_engine(
            self._url, paramstyle="format", hide_parameters=True, connect_args=dict(_KEEPALIVE), **options
        )
        event.listen(engine, "connect", _prepare_session)
        return engine

    @property
    def dialect(self) -> Dialect:
        return self._writes.dialect

    @property
    def reads(self) -> Engine:
        return self._reads

    def lock(self) -> None:
        self.connect()

    def connect(self) -> Connection:
        if self._connection is not None and not self._connection.closed and not self._connection.invalidated:
            return self._connection
        connection = self._open()
        try:
            self._take_lock(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _open(self) -> Connection:
        self.drop()
        try:
            return self._writes.connect()
        except DBAPIError as error:
            words = str(cause_of(error)).partition("\n")[0]
            raise StoreUnavailable(
                f"The database {self._where} cannot be reached: {words}.",
                "Check database.url, and that the server runs.",
            ) from None

    def _take_lock(self, connection: Connection) -> None:
        try:
            key = _lock_key(connection)
            if not self._locks(connection, key):
                raise self._in_use()
            self._check_owner(connection)
            self._pid = connection.scalar(text("SELECT pg_backend_pid()"))
            connection.commit()
        except DBAPIError as error:
            raise self.judge(error) or self._unavailable(error) from None

    def _locks(self, connection: Connection, key: int) -> bool:
        return (
            _try_lock(connection, key)
            or self._evict_own(connection, key)
            or _lock_in_a_moment(connection, key)
        )

    def _evict_own(self, connection: Connection, key: int) -> bool:
        """Ends our own lost session, if it is the one that still holds the lock. The server has not noticed yet
        that it is dead; afterwards the lock is ours, or may be taken at the next try."""
        if self._pid is None or self._pid not in _holders(connection, key):
            return False
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": self._pid})
        if _try_lock(connection, key):
            return True
        raise StoreUnavailable(
            f"The database {self._where} still holds our lost session.", "It is tried again by itself."
        )

    def _check_owner(self, connection: Connection) -> None:
        """Leaves our name on the first visit; later, finding another one means that we are too late."""
        if not self._owned:
            return
        owner = connection.scalar(text("SELECT value FROM meta WHERE name = 'owner'"))
        if owner != self._node:
            raise self._in_use()

    def sign(self, connection: Connection) -> None:
        """Writes this process down as the owner; in a transaction of the caller's."""
        connection.execute(text("DELETE FROM meta WHERE name = 'owner'"))
        connection.execute(
            text("INSERT INTO meta (name, value) VALUES ('owner', :node)"), {"node": self._node}
        )
        self._owned = True

    def _in_use(self) -> StoreInUse:
        return StoreInUse(
            f"Another gateway is using the database {self._where}.",
            "Stop it first and start this one again, or give this one a database of its own.",
        )

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return DBAPIError, psycopg.Error

    def drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()

    def judge(self, error: Exception) -> StoreError | None:
        cause = cause_of(error)
        state = getattr(cause, "sqlstate", None) or ""
        if state.startswith(_BROKEN):
            return StoreBroken(
                f"The database {self._where} cannot be used ({_name(error)}).",
                "Check user, password and database name in database.url.",
            )
        lost = not state and isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
        return self._unavailable(error) if lost or state.startswith(_GONE) else None

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"The database {self._where} does not answer ({_name(error)}).",
            "What was accepted is safe; nothing more is accepted until it does.",
        )

    @property
    def upserts(self) -> Upserts:
        return _UPSERTS

    def compact(self) -> None:
        """Overwritten rows leave with the server's own vacuum."""

    def limit_pages(self, connection: Connection, spare: int | None) -> None:
        raise NotImplementedError("PostgreSQL cannot be told how much it may grow.")

    def close(self) -> None:
        self._reads.dispose()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._writes.dispose()


def _parsed(url: str) -> URL:
    """Raises SettingsError if it is no address of a PostgreSQL database."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise SettingsError(
            "database.url is not an address of a PostgreSQL database.",
            "Write postgresql+psycopg://user:password@host/database, or null for SQLite.",
        )
    return parsed.set(drivername="postgresql+psycopg")


def _prepare_session(connection: Any, _record: Any) -> None:
    connection.execute("SET synchronous_commit = on")
    connection.commit()


def _lock_key(connection: Connection) -> int:
    """The lock covers one schema: two stores may share a database."""
    schema = connection.scalar(text("SELECT current_schema()"))
    return int.from_bytes(hashlib.sha256(f"yizhan/{schema}".encode()).digest()[:8], signed=True)


def _try_lock(connection: Connection, key: int) -> bool:
    return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}))


def _lock_in_a_moment(connection: Connection, key: int) -> bool:
    """A process that has just ended holds its lock until the server has noticed: whoever starts anew at once waits."""
    try:
        with connection.begin_nested():
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
    except DBAPIError as error:
        if isinstance(cause_of(error), psycopg.errors.LockNotAvailable):
            return False
        raise
    return True


def _holders(connection: Connection, key: int) -> set[int]:
    """Which sessions hold the lock. The server shows a 64-bit key as two halves."""
    high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
    query = text(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND classid::bigint = :high AND objid::bigint = :low"
    )
    return set(connection.scalars(query, {"high": high, "low": low}))


def _name(error: Exception) -> str:
    """The driver's word for it; its text might quote rows."""
    return type(cause_of(error)).__name__
