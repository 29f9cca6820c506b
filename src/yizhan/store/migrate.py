"""Brings the tables of an open database up to date, or says why it cannot.

Migrations are numbered and only go forward. All that are missing run in one transaction, so that a crash leaves
the old schema. Alembic is imported only when there is something to do: opening a store that is up to date
stays quick.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from yizhan.errors import StoreBroken
from yizhan.store.migrations import HEAD, KNOWN


def bring_up_to_date(connection: Connection) -> None:
    """Runs the missing migrations in the caller's transaction.

    Raises StoreBroken if a newer program made the tables, or another program did.
    """
    version = _version(connection)
    if version == HEAD:
        return
    if version is not None and version not in KNOWN:
        raise StoreBroken(
            f"The store was written by a newer Yizhan (its schema is {version}, this one knows {HEAD}).",
            "Install the newer version again, or restore the backup from before it.",
        )
    _upgrade(connection)


def _version(connection: Connection) -> str | None:
    """The schema's number, None for an empty database. Raises StoreBroken if the tables are not ours."""
    names = inspect(connection).get_table_names()
    if "alembic_version" in names:
        version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return version
    if names:
        raise StoreBroken(
            "The database holds tables of another program.", "Give Yizhan a database of its own."
        )
    return None


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "yizhan.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
