"""Opens a store: lock first, then the schema, then the secrets' key, then threads.

Nothing is touched before the lock is held, so that a second gateway is turned away at the door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from yizhan.errors import StoreBroken
from yizhan.ports import Chance, Clock
from yizhan.store import tables as t
from yizhan.store.committer import Committer, InlineCommitter, ThreadCommitter
from yizhan.store.engine import StoreEngine
from yizhan.store.migrate import bring_up_to_date
from yizhan.store.queries import notes
from yizhan.store.rows import secret_place
from yizhan.store.secrets import (
    KEY_MISSING,
    KeySeal,
    PlainSeal,
    Seal,
    check_probe,
    is_encrypted,
    probe_of,
)
from yizhan.store.store import SqlStore, reader_pool
from yizhan.store.writer import CommitGate, Writer

_SALT_BYTES = 16


async def open_store(
    url: str | None,
    home: Path,
    *,
    clock: Clock,
    chance: Chance,
    secret_key: str | None = None,
    inline: bool = False,
    gate: CommitGate | None = None,
    committer: Callable[[Writer], Committer] | None = None,
) -> SqlStore:
    """Opens the store and brings its tables up to date.

    Args:   url         None: SQLite in `home/yizhan.db`; else a `postgresql+psycopg://` address
            secret_key  encrypts secret columns; the same one is needed ever after
            inline      no threads, and on SQLite no waits for the disk: for stories in virtual time
            gate        stands at every commit, for drills
            committer   who commits in place of ours, for stories with a slow disk
    Raises: StoreInUse        another gateway holds this store
            StoreBroken       not a database, damaged, made by a newer Yizhan, another key, no access
            StoreUnavailable  the server cannot be reached
            SettingsError     `url` is no address of a database
    """
    if inline:
        engine, seal = _prepare(url, home, chance, secret_key, durable=False)
        made = committer or InlineCommitter
        return SqlStore(engine, made(Writer(engine, seal, gate)), seal, pool=None)
    loop = asyncio.get_running_loop()
    engine, seal = await loop.run_in_executor(None, _prepare, url, home, chance, secret_key, True)
    made = committer or ThreadCommitter
    return SqlStore(engine, made(Writer(engine, seal, gate)), seal, reader_pool())


def _prepare(
    url: str | None, home: Path, chance: Chance, secret_key: str | None, durable: bool
) -> tuple[StoreEngine, Seal]:
    engine = _engine(url, home, chance, durable)
    try:
        engine.lock()
        seal = _first_visit(engine, chance, secret_key)
    except DBAPIError as error:
        engine.close()
        raise engine.judge(error) or _not_ours(error) from None
    except BaseException:
        engine.close()
        raise
    return engine, seal


def _engine(url: str | None, home: Path, chance: Chance, durable: bool) -> StoreEngine:
    """Each driver is imported only by those who use it."""
    if url is None:
        from yizhan.store.sqlite import SqliteEngine

        return SqliteEngine(home, durable)
    from yizhan.store.postgres import PostgresEngine

    return PostgresEngine(url, node=chance.token_hex(8))


def _not_ours(error: DBAPIError) -> StoreBroken:
    return StoreBroken(
        f"The database cannot be used ({type(error.orig).__name__}).",
        "Give Yizhan a database of its own that its user may create tables in.",
    )


def _first_visit(engine: StoreEngine, chance: Chance, secret_key: str | None) -> Seal:
    connection = engine.connect()
    with connection.begin():
        bring_up_to_date(connection)
        engine.sign(connection)
        seal, closed_anew = _seal(connection, chance, secret_key)
    if closed_anew:
        engine.compact()
    return seal


def _seal(connection: Connection, chance: Chance, secret_key: str | None) -> tuple[Seal, bool]:
    """The seal that fits store and key, and whether secrets had to be closed that lay open until now."""
    probe = connection.scalar(notes.meta_value("secret-probe"))
    if secret_key is None:
        if probe is not None:
            raise KEY_MISSING
        return PlainSeal(), False
    seal = KeySeal(secret_key, _salt(connection, chance), chance)
    if probe is not None:
        check_probe(seal, probe)
        return seal, False
    connection.execute(notes.add_meta("secret-probe", probe_of(seal)))
    return seal, _close_all(connection, seal)


def _salt(connection: Connection, chance: Chance) -> str:
    salt = connection.scalar(notes.meta_value("secret-salt"))
    if salt is None:
        salt = chance.token_hex(_SALT_BYTES)
        connection.execute(notes.add_meta("secret-salt", salt))
    return str(salt)


def _close_all(connection: Connection, seal: KeySeal) -> bool:
    """Encrypts what was stored before there was a key."""
    closed = 0
    a, r = t.account, t.reply_token
    for account, secret, cursor in connection.execute(notes.open_account_secrets()).all():
        if not is_encrypted(secret):
            places = f"account.secret/{account}", f"account.cursor/{account}"
            values = [
                seal.close(PlainSeal().open(stored, place), place)
                for stored, place in zip((secret, cursor), places, strict=True)
            ]
            connection.execute(a.update().where(a.c.id == account).values(secret=values[0], cursor=values[1]))
            closed += 1
    for account, chat, sha256, token in connection.execute(notes.open_tokens()).all():
        place = f"reply_token/{account}/{chat}/{sha256}"
        stored = seal.close(PlainSeal().open(token, place), place)
        key = r.c.account == account, r.c.chat == chat, r.c.token_sha256 == sha256
        connection.execute(r.update().where(*key).values(token=stored))
        closed += 1
    w = t.webhook
    for webhook, secret in connection.execute(notes.webhook_secrets()).all():
        if not is_encrypted(secret):
            place = secret_place(webhook)
            stored = seal.close(PlainSeal().open(secret, place), place)
            connection.execute(w.update().where(w.c.id == webhook).values(secret=stored))
            closed += 1
    return closed > 0
