"""Carries out batches of operations, each batch one transaction.

The common case: all operations together, one commit. If one of them spoils it (the database refuses one of
its rows), the transaction is rolled back and the batch carried out again with a savepoint around each
operation, so that a bad one cannot sink its neighbours; the same if one of them breaks for a defect of ours. If
the database itself fails, nothing of the batch is
written and every operation learns so; the next batch simply tries again.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from yizhan.errors import InvalidRequest, RequestError, StoreError, StoreInUse, StoreUnavailable, YizhanError
from yizhan.model import Event, Reason
from yizhan.store.engine import StoreEngine
from yizhan.store.operation import Operation
from yizhan.store.queries import notes
from yizhan.store.recall import Recall
from yizhan.store.secrets import Seal
from yizhan.store.statements import BatchStatements
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet

_PROBE_BYTES = 65_536
_REPORT = "This is a defect of Yizhan; please report it."


class CommitGate(Protocol):
    """Stands at every commit, for drills: raises to crash there, or takes its time to be a slow disk.

    `label` names the batch's operations, each once, in order of first appearance: `accept` or `accept+settle`.
    """

    def before_commit(self, label: str) -> None: ...

    def after_commit(self, label: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Done:
    value: Any


@dataclass(frozen=True, slots=True)
class Refused:
    error: BaseException


Outcome = Done | Refused


@dataclass(frozen=True, slots=True)
class Committed:
    """Outcomes in the order of the operations, and the events that are now in the table, in order."""

    outcomes: tuple[Outcome, ...]
    events: tuple[Event, ...]


CarryOut = Callable[[Connection, Sequence[Operation[Any]]], Committed]


class _Spoilt(Exception):
    """An operation was refused after it, or its neighbours, had changed something."""


class Writer:
    """Owns the one connection that writes. Blocks; used by one thread at a time."""

    def __init__(self, engine: StoreEngine, seal: Seal, gate: CommitGate | None = None) -> None:
        self._engine = engine
        self._seal = seal
        self._gate = gate
        self._statements = BatchStatements(engine)
        self._recall = Recall()
        self._trouble: StoreError | None = None

    def trouble(self) -> Reason | None:
        """Why the last write failed, None if it did not."""
        error = self._trouble
        if error is None:
            return None
        code = "store-unavailable" if isinstance(error, StoreUnavailable) else error.name
        return Reason(code, f"{error.detail} {error.fix}".strip())

    def commit(self, operations: Sequence[Operation[Any]]) -> Committed:
        """Never raises for what the database does; what the gate raises goes through, rolled back."""
        if isinstance(self._trouble, StoreInUse):
            return _all_refused(operations, self._trouble)
        try:
            committed = self._commit(operations)
        except StoreError as error:
            self._trouble = error
            return _all_refused(operations, error)
        self.probe()  # something small may fit where a message does not
        return committed

    def _commit(self, operations: Sequence[Operation[Any]]) -> Committed:
        try:
            return self._transaction(operations, self._together)
        except _Spoilt:
            pass
        try:
            return self._transaction(operations, self._one_by_one)
        except _Spoilt as spoilt:
            cause = type(spoilt.__cause__).__name__
            raise StoreUnavailable(
                f"The database refuses to commit ({cause}).", "It is tried again."
            ) from None

    def probe(self) -> None:
        """After a failed write: writes as much as a message needs and erases it, to learn whether that is possible
        again. In two transactions: what is written and erased in one takes no room at all."""
        if self._trouble is None or isinstance(self._trouble, StoreInUse):
            return
        try:
            self._commit([_TakeRoom()])
            self._commit([_GiveRoom()])
        except StoreError as error:
            self._trouble = error
        else:
            self._trouble = None

    def _transaction(self, operations: Sequence[Operation[Any]], carry_out: CarryOut) -> Committed:
        label = "+".join(dict.fromkeys(operation.label for operation in operations))
        try:
            with self._all_or_nothing() as connection:
                committed = self._carried_out(carry_out, connection, operations)
                if self._gate is not None:
                    self._gate.before_commit(label)
        except self._engine.errors as error:
            trouble = self._engine.judge(error)
            if trouble is None:
                raise _Spoilt from error
            self._engine.drop()
            raise trouble from None
        if self._gate is not None:
            self._gate.after_commit(label)
        return committed

    def _carried_out(
        self, carry_out: CarryOut, connection: Connection, operations: Sequence[Operation[Any]]
    ) -> Committed:
        """What an operation raises that is neither the caller's mistake nor the database's spoils the batch."""
        try:
            return carry_out(connection, operations)
        except (_Spoilt, StoreError):
            raise
        except self._engine.errors:
            raise
        except Exception as error:
            raise _Spoilt from error

    @contextmanager
    def _all_or_nothing(self) -> Iterator[Connection]:
        try:
            connection = self._engine.connect()
            with connection.begin():
                yield connection
        except BaseException:
            self._recall.forget()
            raise

    def _together(self, connection: Connection, operations: Sequence[Operation[Any]]) -> Committed:
        outcomes: list[Outcome] = []
        events: list[Event] = []
        for stretch in _stretches(operations):
            rows = self._load(connection, stretch)
            for operation in stretch:
                outcomes.append(_apply(operation, rows))
            events += self._flush(rows)
        return Committed(tuple(outcomes), tuple(events))

    def _one_by_one(self, connection: Connection, operations: Sequence[Operation[Any]]) -> Committed:
        outcomes: list[Outcome] = []
        events: list[Event] = []
        for operation in operations:
            try:
                with connection.begin_nested():
                    rows = self._load(connection, [operation])
                    value = operation.apply(rows)
                    events += self._flush(rows)
                outcomes.append(Done(value))
            except self._engine.errors as error:
                if self._engine.judge(error) is not None:
                    raise
                outcomes.append(Refused(_as_refusal(operation, error)))
            except StoreError:
                raise
            except Exception as error:  # a defect of ours too sinks nobody else
                outcomes.append(Refused(_as_defect(operation, error)))
        return Committed(tuple(outcomes), tuple(events))

    def _load(self, connection: Connection, operations: Sequence[Operation[Any]]) -> WorkingSet:
        wants = Wants()
        for operation in operations:
            operation.wants(wants)
        rows = WorkingSet(connection, self._statements, self._seal, self._recall)
        rows.load(wants)
        return rows

    def _flush(self, rows: WorkingSet) -> list[Event]:
        events = rows.flush()
        self._recall.remember(rows.written_messages())
        return events


@dataclass(frozen=True, slots=True)
class _TakeRoom:
    """Takes as much room as a long message would."""

    label: ClassVar[str] = "probe"
    alone: ClassVar[bool] = True

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        rows.connection.execute(notes.erase_meta("probe-room"))
        rows.connection.execute(notes.add_meta("probe-room", "x" * _PROBE_BYTES))


@dataclass(frozen=True, slots=True)
class _GiveRoom:
    """Gives it back."""

    label: ClassVar[str] = "probe"
    alone: ClassVar[bool] = True

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        rows.connection.execute(notes.erase_meta("probe-room"))


def _stretches(operations: Sequence[Operation[Any]]) -> list[list[Operation[Any]]]:
    """The operations in their order, cut before and after those that run alone."""
    stretches: list[list[Operation[Any]]] = []
    joinable = False
    for operation in operations:
        if joinable and not operation.alone:
            stretches[-1].append(operation)
        else:
            stretches.append([operation])
        joinable = not operation.alone
    return stretches


def _apply(operation: Operation[Any], rows: WorkingSet) -> Outcome:
    before = rows.changes
    try:
        return Done(operation.apply(rows))
    except RequestError as error:
        if rows.changes != before:
            raise _Spoilt from error
        return Refused(error)


def _as_refusal(operation: Operation[Any], error: Exception) -> YizhanError:
    """Names the operation and the kind of trouble; the error's own text might quote a message."""
    if isinstance(error, YizhanError):
        return error
    kind = type(error.orig if isinstance(error, DBAPIError) else error).__name__
    what = f"The database refuses what {operation.label} was given ({kind})."
    if kind == "DataError" or isinstance(error, UnicodeError | ValueError):
        return InvalidRequest(what, "Texts may hold neither NUL characters nor lone surrogates.")
    return YizhanError(what, _REPORT)


def _as_defect(operation: Operation[Any], error: Exception) -> YizhanError:
    if isinstance(error, RequestError | UnicodeError | ValueError):
        return _as_refusal(operation, error)
    kind = type(error).__name__
    return YizhanError(f"The store broke at {operation.label} ({kind} at {_place_of(error)}).", _REPORT)


def _place_of(error: Exception) -> str:
    """Where it was raised, as a report needs it: `writes_out.py:120`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def _all_refused(operations: Sequence[Operation[Any]], error: StoreError) -> Committed:
    return Committed(tuple(Refused(error) for _ in operations), ())
