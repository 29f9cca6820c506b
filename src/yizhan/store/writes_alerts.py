"""The writes of the watch: alerts as they are raised, go on and are cleared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from yizhan.core.alerts import AlertChange
from yizhan.store.queries import watching
from yizhan.store.rows import alert_values
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet


@dataclass(frozen=True, slots=True)
class NoteAlerts:
    """Writes alerts anew, and announces those that were raised or cleared. Rare, so it runs alone."""

    label: ClassVar[str] = "note_alerts"
    alone: ClassVar[bool] = True
    changes: tuple[AlertChange, ...]
    at_ms: int

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        ids = [change.alert.id for change in self.changes]
        rows.connection.execute(watching.erase_alerts(ids))
        rows.connection.execute(
            watching.add_alerts(), [dict(alert_values(change.alert)) for change in self.changes]
        )
        rows.changes += 1
        for change in self.changes:
            if change.told:
                rows.news.alert(change.alert, self.at_ms)
