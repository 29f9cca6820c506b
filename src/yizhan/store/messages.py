"""Messages read whole: their rows, with their entries, and with the attempts of those that are named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection

from yizhan.model import Attempt, MessageId
from yizhan.store import rows
from yizhan.store.rows import KeptMessage, Row
from yizhan.store.statements import BatchStatements


def messages_of(
    connection: Connection, sql: BatchStatements, found: Sequence[Row], with_attempts: set[MessageId]
) -> list[KeptMessage]:
    """Message rows with their entries, and with the attempts of those that are named, in the rows' order."""
    parts: dict[str, list[Row]] = defaultdict(list)
    attempts: dict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for row in sql.attempts_of.read(connection, with_attempts):
        attempts[row[1], row[2]].append(rows.attempt_of(row))
    for row in sql.entries_of.read(connection, map(rows.message_id_of, found)):
        parts[row[1]].append(row)
    return [
        rows.message_of(
            row,
            tuple(
                rows.entry_of(part, tuple(attempts.get((part[1], part[2]), ())))
                for part in parts[rows.message_id_of(row)]
            ),
        )
        for row in found
    ]
