"""Which way a verb reaches the API: a running gateway over HTTP, else the opened store in this process.

- `gateway.json` in the home names a process that lives and answers: RemoteApi.
- It names a process that lives but does not answer: NoGateway, nothing is tried behind its back.
- There is none, or it is stale (process gone, connection refused): OfflineApi, which takes the home's
  lock. The lock may be held for a moment, by a gateway that is starting or by another offline verb, so
  both ways are tried for a few seconds before StoreInUse is reported.

FastAPI, SQLAlchemy and httpx come with OfflineApi alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from yizhan.cli.client import Api, RemoteApi, alive, find_running, pause, read_gateway_file
from yizhan.cli.trouble import NoGateway
from yizhan.errors import StoreInUse, YizhanError

if TYPE_CHECKING:
    from yizhan.cli.offline import OfflineApi

LOCK_TRIES = 20
LOCK_PAUSE_S = 0.2


@contextmanager
def connect(home: Path, key_from_environment: str | None) -> Iterator[Api]:
    """The API of this home, whichever way it can be had. Raises what opening the store raises, and NoGateway."""
    api = _open(home, key_from_environment)
    try:
        yield api
    finally:
        api.close()


@contextmanager
def connect_running(home: Path, key_from_environment: str | None) -> Iterator[RemoteApi]:
    """The API of a running gateway. Raises NoGateway."""
    api = find_running(home, key_from_environment)
    if api is None:
        raise NoGateway(f"No gateway is running on {home}.", "Start one: yizhan run")
    yield api


def _open(home: Path, key: str | None) -> Api:
    for _ in range(LOCK_TRIES):
        api = find_running(home, key) or _open_offline(home, key)
        if api is not None:
            return api
        pause(LOCK_PAUSE_S)
    raise _in_use(home)


def _open_offline(home: Path, key: str | None) -> OfflineApi | None:
    """None while another process holds the lock."""
    from yizhan.cli.offline import OfflineApi

    try:
        return OfflineApi(home, key)
    except StoreInUse:
        return None


def _in_use(home: Path) -> YizhanError:
    named = read_gateway_file(home)
    holder = f"process {named.pid}" if named and alive(named.pid) else "another process"
    return StoreInUse(
        f"{home} is in use by {holder}, and no gateway answers there.",
        "If it is starting, wait until it is ready; else end it. Then try again.",
    )
