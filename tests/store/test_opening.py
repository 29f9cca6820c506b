"""Opening a store: the lock, the schema, the key, and what a broken one says."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from yizhan.errors import SettingsError, StoreBroken, StoreInUse, StoreUnavailable
from yizhan.model import AccountId, Credentials
from yizhan.store import open_store
from yizhan.store import tables as t
from yizhan.store.migrations import HEAD, KNOWN
from yizhan.store.open import _engine

A = AccountId("weixin:ab12@im.bot")
SECRETS = ("bot-secret-0123456789", "cursor-0123456789", "token-0123456789")


@pytest.mark.field("F80")
async def test_a_second_gateway_is_turned_away_and_told_what_to_do(place: Any) -> None:
    """Two gateways on one store would send everything twice."""
    store = await place.open()
    with pytest.raises(StoreInUse) as refused:
        await place.open()
    assert "Another gateway" in refused.value.detail
    assert "Stop it first" in refused.value.fix
    await store.put_account(A, Credentials("s", "https://x"), 1)
    await store.close()
    again = await place.open()
    assert 1 == len(await again.accounts())


async def test_the_lock_names_the_process_that_holds_it(sqlite_place: Any) -> None:
    """ "Which one?" is the operator's first question."""
    await sqlite_place.open()
    with pytest.raises(StoreInUse, match=f"process {os.getpid()}"):
        await sqlite_place.open()


async def test_the_migrations_make_exactly_the_tables_of_the_code(place: Any) -> None:
    """A column that exists only in `tables.py` is found here and not at an operator's."""
    await (await place.open()).close()
    engine = _engine(place.url, place.home, place.chance, True)
    engine.lock()
    try:
        connection = engine.connect()
        with connection.begin():
            from alembic.autogenerate import compare_metadata

            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert [] == compare_metadata(context, t.metadata)
            assert _indexes(connection) == {
                (table.name, index.name, bool(index.unique), tuple(column.name for column in index.columns))
                for table in t.metadata.tables.values()
                for index in table.indexes
            }
    finally:
        engine.close()


def _indexes(connection: Any) -> set[tuple[Any, ...]]:
    inspector = inspect(connection)
    return {
        (table, index["name"], bool(index["unique"]), tuple(index["column_names"]))
        for table in t.metadata.tables
        for index in inspector.get_indexes(table)
    }


async def test_the_partial_indexes_and_row_layouts_are_those_of_the_code(sqlite_place: Any) -> None:
    """Which rows an index covers decides whether a blocked chat costs anything."""
    from sqlalchemy import create_engine

    await (await sqlite_place.open()).close()
    expected = create_engine("sqlite://")
    t.metadata.create_all(expected)
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
    with expected.connect() as connection:
        wanted = {name: "".join(sql.split()) for name, sql in connection.execute(text(query))}
    found = sqlite3.connect(sqlite_place.home / "yizhan.db").execute(query)
    assert wanted == {name: "".join(sql.split()) for name, sql in found}


def test_the_newest_migration_is_the_one_the_code_asks_for() -> None:
    """A migration that is not in `KNOWN` would never run."""
    config = Config()
    config.set_main_option("script_location", "yizhan.store:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert [HEAD] == scripts.get_heads()
    assert set(KNOWN) == {script.revision for script in scripts.walk_revisions()}


async def test_a_store_of_a_newer_program_is_refused(place: Any) -> None:
    """An old program must not write into tables that it does not understand."""
    await (await place.open()).close()
    engine = _engine(place.url, place.home, place.chance, True)
    engine.lock()
    with engine.connect().begin():
        engine.connect().execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.close()
    with pytest.raises(StoreBroken, match="newer Yizhan"):
        await place.open()


async def test_tables_of_another_program_are_left_alone(place: Any) -> None:
    """A wrong database address must not end in somebody else's data."""
    engine = _engine(place.url, place.home, place.chance, True)
    engine.lock()
    with engine.connect().begin():
        engine.connect().execute(text("CREATE TABLE customers (id INTEGER)"))
    engine.close()
    with pytest.raises(StoreBroken, match="another program"):
        await place.open()


async def test_a_file_that_is_no_database_says_so(sqlite_place: Any) -> None:
    """Nothing is overwritten; the operator is told which files to move."""
    sqlite_place.home.mkdir()
    path = sqlite_place.home / "yizhan.db"
    path.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(StoreBroken) as refused:
        await sqlite_place.open()
    assert "not a database" in refused.value.detail
    assert "yizhan.db-wal" in refused.value.fix
    assert path.read_bytes().startswith(b"this is not")


async def test_a_damaged_file_says_so(sqlite_desk: Any, sqlite_place: Any) -> None:
    """A disk that lost its pages shows in a clear sentence, not in a stack of frames."""
    for number in range(50):
        await sqlite_desk.accept(str(number) * 500)
    await sqlite_desk.store.close()
    path = sqlite_place.home / "yizhan.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    with pytest.raises(StoreBroken, match="damaged"):
        await sqlite_place.open()


async def test_a_home_that_cannot_be_made_says_so(tmp_path: Path, sqlite_place: Any) -> None:
    """A file stands where the directory should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreBroken, match="cannot be opened"):
        await open_store(None, tmp_path / "file" / "home", clock=None, chance=sqlite_place.chance)  # type: ignore[arg-type]


async def test_the_files_belong_to_their_owner_alone(sqlite_desk: Any, sqlite_place: Any) -> None:
    """Without a key the secrets lie in these files."""
    await sqlite_desk.accept()
    modes = {path.name: path.stat().st_mode & 0o777 for path in sqlite_place.home.iterdir()}
    assert {0o600} == set(modes.values())
    assert {"yizhan.db", "yizhan.db-wal", "yizhan.lock"} <= set(modes)


async def test_sqlite_waits_for_the_disk(sqlite_desk: Any) -> None:
    """Anything less than FULL silently loses accepted messages at a power cut."""
    driver = sqlite_desk.store._engine._connection.connection.driver_connection
    pragmas = {
        name: driver.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "mmap_size", "busy_timeout")
    }
    assert {"synchronous": 2, "journal_mode": "wal", "mmap_size": 0, "busy_timeout": 5000} == pragmas


def test_opening_again_needs_no_migration_tool(tmp_path: Path) -> None:
    """Every command of the command line opens the store: it must be quick."""
    program = f"""
import asyncio, pathlib, sys
from yizhan.store import open_store
class Chance:
    def token_hex(self, size): return "00" * size
async def main():
    store = await open_store(None, pathlib.Path({str(tmp_path / "home")!r}), clock=None, chance=Chance())
    await store.close()
asyncio.run(main())
print([name for name in ("alembic", "psycopg") if name in sys.modules])
"""
    printed = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert ["['alembic']", "[]"] == [line.strip() for line in printed]


@pytest.mark.parametrize(
    "url", ["not a url", "postgresql+psycopg://u:p@h:notaport/x", "sqlite:///here.db", "mysql://h/x"]
)
async def test_an_address_that_is_none_names_the_setting(url: str, sqlite_place: Any) -> None:
    """The operator must know which key to change."""
    with pytest.raises(SettingsError, match=r"database\.url"):
        await open_store(url, sqlite_place.home, clock=None, chance=sqlite_place.chance)  # type: ignore[arg-type]


async def test_a_server_that_is_not_there_is_unavailable_and_the_password_stays_secret(
    sqlite_place: Any,
) -> None:
    """The database may start later than we do; its password is nobody's business."""
    url = "postgresql+psycopg://me:hunter2@127.0.0.1:1/none"
    with pytest.raises(StoreUnavailable) as refused:
        await open_store(url, sqlite_place.home, clock=None, chance=sqlite_place.chance)  # type: ignore[arg-type]
    assert "hunter2" not in str(refused.value)
    assert "127.0.0.1" in str(refused.value)


# Secrets.


async def _fill(store: Any, place: Any, sit_down: Any) -> Any:
    await store.put_account(A, Credentials(SECRETS[0], "https://x"), 1)
    desk = sit_down(store, place)
    await desk.receive(desk.arrival(token=SECRETS[2]), cursor=SECRETS[1])
    return desk


async def _dump(place: Any) -> bytes:
    """Everything that lies on the disk, or in the server's tables."""
    if place.engine == "sqlite":
        return b"".join(path.read_bytes() for path in place.home.iterdir())
    engine = _engine(place.url, place.home, place.chance, True)
    engine.lock()
    with engine.connect().begin():
        rows = [
            engine.connect().execute(table.select()).all()
            for table in (t.account, t.reply_token, t.event, t.meta)
        ]
    engine.close()
    return repr(rows).encode()


async def test_with_a_key_no_secret_can_be_read_in_the_store(place: Any, sit_down: Any) -> None:
    """A stolen backup must not be a stolen login."""
    desk = await _fill(await place.open(secret_key="correct horse"), place, sit_down)
    await desk.store.close()
    dump = await _dump(place)
    assert [] == [secret for secret in SECRETS if secret.encode() in dump]
    store = await place.open(secret_key="correct horse")
    account = await store.account(A)
    (lane,) = await store.lanes([desk.target()], 1, desk.now_ms)
    assert SECRETS == (account.credentials.secret, account.cursor, lane.token.token)


async def test_a_missing_or_wrong_key_says_which_variable_to_set(place: Any, sit_down: Any) -> None:
    """Instead of a login that fails for no visible reason."""
    await (await _fill(await place.open(secret_key="right"), place, sit_down)).store.close()
    for wrong in (None, "wrong"):
        with pytest.raises(StoreBroken, match="YIZHAN_SECRET_KEY"):
            await place.open(secret_key=wrong)


async def test_a_key_that_comes_later_closes_what_lay_open(place: Any, sit_down: Any) -> None:
    """Setting the variable must protect what is stored already, also in the pages of the file that were freed."""
    desk = await _fill(await place.open(), place, sit_down)
    await desk.store.close()
    assert SECRETS[0].encode() in await _dump(place)
    store = await place.open(secret_key="late")
    (lane,) = await store.lanes([desk.target()], 1, desk.now_ms)
    assert SECRETS == ((a := await store.account(A)).credentials.secret, a.cursor, lane.token.token)
    await store.close()
    dump = await _dump(place)
    assert [] == [secret for secret in SECRETS if secret.encode() in dump]


async def test_a_lane_is_read_from_the_index_of_live_rows(sqlite_desk: Any) -> None:
    """However many messages are finished or blocked, the head of a lane costs the same."""
    store = sqlite_desk.store
    sql = store._lanes._messages._sql
    values = (A, "o1", 0, sqlite_desk.now_ms, 10, 0)
    driver = store._engine._connection.connection.driver_connection
    plan = driver.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    assert "ix_message_lane" in plan[0][-1]
    assert 1 == len(plan), "it sorts"
