"""What queries are made of: parameters named after their columns, and the conditions of the partial indexes.

Such a condition is written out, never bound: only then do the engines use the index.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, bindparam, text

LIVE = text("message.live = 1")
FINISHED = text("message.live = 0")
DEAD = text("message.state IN ('failed', 'expired')")
PENDING = text("inbound.dispatch <> 'done'")
OPEN = text("turn.ended_at_ms IS NULL")

PREFIX = "p_"
"""Parameters carry it, because SQLAlchemy keeps the bare names of columns for itself."""


def bind(column: str) -> Any:
    return bindparam(PREFIX + column)


def binds(table: Table) -> dict[str, Any]:
    """A parameter for each column of a table."""
    return {column.name: bind(column.name) for column in table.columns}
