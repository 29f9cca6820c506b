"""What the two engines have in common, and what each must say for itself.

An engine opens one connection that writes and a few that read, keeps other gateways out, and judges the
driver's errors: is the database gone (try again later), is it broken (a person must act), or was it the
operation's own fault (the others go on)?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Dialect, Engine, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import CompilerElement

from yizhan.errors import StoreError
from yizhan.store import tables as t
from yizhan.store.queries import terms

READERS = 3
"""Threads and connections that read."""
ATTEMPT_PARTS = ("at_ms", "with_token", "ended_at_ms", "verdict", "code", "text")
"""What a repeated attempt of the same number replaces."""
LEDGER_PARTS = (
    "used",
    "unsure",
    "accepted_at_ms",
    "closed",
    "closed_before",
    "probes",
    "probe_at_ms",
    "noticed",
    "pending",
    "sent",
)
"""What may change of an allowance."""


def cause_of(error: Exception) -> BaseException:
    """The driver's own error, wherever SQLAlchemy wrapped it."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


@dataclass(frozen=True, slots=True)
class Upserts:
    """What only the engines' own dialects can say: add a row, or write anew what may change of it.

    begin_attempt  adds an attempt, or starts the one with the same number again
    keep_ledger    adds an allowance, or writes anew what may change of it
    """

    begin_attempt: CompilerElement
    keep_ledger: CompilerElement


def upserts(insert: Callable[[Table], Any]) -> Upserts:
    """Args:  insert  the dialect's own, whose statements know `on_conflict_do_update`"""

    def made(table: Table, parts: Sequence[str]) -> CompilerElement:
        statement = insert(table).values(terms.binds(table))
        changed = {name: statement.excluded[name] for name in parts}
        element: CompilerElement = statement.on_conflict_do_update(
            index_elements=list(table.primary_key.columns), set_=changed
        )
        return element

    return Upserts(made(t.attempt, ATTEMPT_PARTS), made(t.allowance, LEDGER_PARTS))


class StoreEngine(Protocol):
    """One database. Everything here blocks; it is called from the writer's or a reader's thread."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def reads(self) -> Engine:
        """Connections that cannot write, each transaction a snapshot."""
        ...

    def lock(self) -> None:
        """Keeps other gateways out. Raises StoreInUse."""
        ...

    def connect(self) -> Connection:
        """The connection that writes, also after it was lost; not yet in a transaction.

        Raises StoreUnavailable, StoreBroken; StoreInUse if another gateway came in the meantime.
        """
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises, and what SQLAlchemy makes of it."""
        ...

    def drop(self) -> None:
        """Lets go of the writing connection after trouble, if a new one may help."""
        ...

    def judge(self, error: Exception) -> StoreError | None:
        """StoreUnavailable or StoreBroken if the database is to blame, None if the operation is."""
        ...

    @property
    def upserts(self) -> Upserts: ...

    def sign(self, connection: Connection) -> None:
        """Writes this process down as the owner, where the lock alone cannot tell; in the caller's transaction."""
        ...

    def compact(self) -> None:
        """Leaves nothing of overwritten rows in the file, as far as the engine can."""
        ...

    def limit_pages(self, connection: Connection, spare: int | None) -> None:
        """For drills: lets the database grow by this many pages and no more; None lifts the limit."""
        ...

    def close(self) -> None:
        """Closes every connection and lets other gateways in."""
        ...
