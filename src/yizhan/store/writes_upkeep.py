"""The writes of upkeep: the broom, and for drills a disk that is full sooner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Select, Table

from yizhan.store import tables as t
from yizhan.store.engine import StoreEngine
from yizhan.store.queries import pruning
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet


@dataclass(frozen=True, slots=True)
class Prune:
    """Removes at most `limit` rows of each kind, the oldest first; children go with their parents."""

    label: ClassVar[str] = "prune"
    alone: ClassVar[bool] = True
    finished_before_ms: int
    events_before_ms: int
    limit: int

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> int:
        old, young = self.finished_before_ms, self.events_before_ms
        messages = self._keys(rows, pruning.old_messages(old, self.limit))
        self._erase(rows, t.attempt, ("account", "message_id"), messages)
        self._erase(rows, t.entry, ("account", "message_id"), messages)
        position = ("account", "chat", "seq")
        return sum(
            (
                self._erase(rows, t.message, ("account", "id"), messages),
                self._sweep(rows, t.inbound, position, pruning.old_inbound(old, self.limit)),
                self._sweep(rows, t.suppressed, position, pruning.old_suppressed(old, self.limit)),
                self._sweep(rows, t.turn, position, pruning.old_turns(old, self.limit)),
                self._sweep(
                    rows, t.session, ("account", "chat", "person"), pruning.old_sessions(old, self.limit)
                ),
                self._sweep(
                    rows,
                    t.attempt,
                    ("account", "message_id", "no", "n"),
                    pruning.old_attempts(young, self.limit),
                ),
                self._sweep(rows, t.event, ("id",), pruning.old_events(young, self.limit)),
                self._sweep(rows, t.alert, ("id",), pruning.old_alerts(young, self.limit)),
                self._sweep(rows, t.schedule_run, ("schedule", "key"), pruning.old_runs(old, self.limit)),
                self._sweep(rows, t.webhook_post, ("webhook", "event"), pruning.old_posts(young, self.limit)),
                self._sweep(rows, t.claim, ("kind", "key"), pruning.old_claims(old, self.limit)),
            )
        )

    def _sweep(self, rows: WorkingSet, table: Table, columns: tuple[str, ...], old: Select[Any]) -> int:
        return self._erase(rows, table, columns, self._keys(rows, old))

    @staticmethod
    def _keys(rows: WorkingSet, old: Select[Any]) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in rows.connection.execute(old)]

    @staticmethod
    def _erase(rows: WorkingSet, table: Table, columns: tuple[str, ...], keys: list[tuple[Any, ...]]) -> int:
        if not keys:
            return 0
        rows.changes += 1
        rows.connection.execute(pruning.erase(table, columns, keys))
        return len(keys)


@dataclass(frozen=True, slots=True)
class LimitPages:
    """For drills: a disk that is full sooner."""

    label: ClassVar[str] = "limit_pages"
    alone: ClassVar[bool] = True
    engine: StoreEngine
    spare: int | None

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        self.engine.limit_pages(rows.connection, self.spare)
