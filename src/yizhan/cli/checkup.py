"""Checks of this machine: the home, its disk, the clock, the port, the secrets. Nothing is changed."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from yizhan.cli.findings import Finding, fail, ok, warn
from yizhan.home import secret_key
from yizhan.settings import Settings

MIB = 1024 * 1024
DISK_LOW_BYTES = 500 * MIB
DISK_FULL_BYTES = 50 * MIB
EARLIEST_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
"""No clock that is right shows less: this program did not exist then."""
LATEST_MS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000)
JUMP_MS = 60_000
"""Stored times may lie this far ahead of the clock before it must have been set back."""

SECRET_FILES = ("yizhan.db", "yizhan.db-wal", "yizhan.db-shm", "api-key", "gateway.json", "config.yaml")


def check_home(home: Path) -> Iterator[Finding]:
    """The directory, who may look into it, whether it takes writes, and how much room is left."""
    try:
        yield from _look_into(home)
    except OSError as error:
        fix = "Run as the user it belongs to, or choose another home: --home DIR or YIZHAN_HOME."
        yield fail("home", f"{home} cannot be looked into: {error.strerror}", fix)


def _look_into(home: Path) -> Iterator[Finding]:
    if not home.exists():
        yield ok("home", f"{home} does not exist yet; the first command that needs it makes it")
        return
    if not home.is_dir():
        yield fail("home", f"{home} is not a directory", "Choose another home: --home DIR or YIZHAN_HOME.")
        return
    yield from _modes(home)
    yield _writable(home)
    yield _room(home)


def _modes(home: Path) -> Iterator[Finding]:
    """Others may read nothing here: the home 0700, its files 0600."""
    if open_to_others(home):
        yield warn("home", f"{home} can be entered by others on this machine", f"chmod 700 {home}")
    exposed = [name for name in SECRET_FILES if (home / name).exists() and open_to_others(home / name)]
    if exposed:
        paths = " ".join(str(home / name) for name in exposed)
        yield warn("home", f"readable by others: {', '.join(exposed)}", f"chmod 600 {paths}")
    elif not open_to_others(home):
        yield ok("home", f"{home} and its files belong to you alone")


def open_to_others(path: Path) -> bool:
    """Whether group or others have any right on it."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _writable(home: Path) -> Finding:
    """Writes a page and has it flushed, as a commit does."""
    try:
        with tempfile.TemporaryFile(dir=home) as page:
            page.write(b"\0" * 4096)
            page.flush()
            os.fsync(page.fileno())
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "Free some space." if full else f"Give this user the right to write to {home}."
        return fail("disk", f"nothing can be written to {home}: {error.strerror}", fix)
    return ok("disk", f"{home} takes writes")


def _room(home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    text = f"{free // MIB:,} MiB free"
    if free < DISK_FULL_BYTES:
        return fail("disk", text, "Free some space; without it nothing can be accepted.")
    if free < DISK_LOW_BYTES:
        return warn("disk", text, "Free some space before it runs out.")
    return ok("disk", text)


def check_clock(now_ms: int, newest_stored_ms: int | None) -> Finding:
    """Whether the clock can be right, by the calendar and by the newest time in the store."""
    fix = "Set it, and keep it right with NTP (timedatectl set-ntp true)."
    shown = f"{datetime.fromtimestamp(now_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if not EARLIEST_MS <= now_ms < LATEST_MS:
        return fail("clock", f"this machine's clock shows {shown}, which cannot be", fix)
    ahead_ms = (newest_stored_ms or 0) - now_ms
    if ahead_ms > JUMP_MS:
        text = (
            f"the store holds times {ahead_ms // 1000:,} s ahead of the clock ({shown}): it has been set back"
        )
        return warn("clock", text, fix + " Expiry and order are kept by the stored times meanwhile.")
    return ok("clock", shown)


def check_secrets(environ: Mapping[str, str], home: Path) -> Finding:
    """Whether logins in the database are encrypted."""
    if secret_key(environ):
        return ok("secrets", "logins in the database are encrypted")
    return warn(
        "secrets",
        f"logins lie unencrypted in {home}, protected by file permissions alone",
        "Set YIZHAN_SECRET_KEY, or systemd's credential yizhan-secret-key, and keep a copy somewhere else.",
    )


def check_port(settings: Settings) -> Iterator[Finding]:
    """Whether the address can be listened on; for when no gateway of ours does."""
    server = settings.server
    if not _loopback(server.host):
        yield warn(
            "address",
            f"{server.host} can be reached from other machines, without TLS",
            "Listen on 127.0.0.1, or put a proxy with TLS in front.",
        )
    where = f"{server.host}:{server.port}"
    problem = _bind_problem(server.host, server.port)
    if problem is None:
        yield ok("port", f"{where} is free" if server.port else "any free port will be taken")
    elif problem.errno == errno.EADDRINUSE:
        yield fail(
            "port",
            f"{where} is taken by another program",
            "End it, or set server.port to another port (0: any).",
        )
    else:
        yield fail(
            "port", f"{where} cannot be listened on: {problem.strerror}", "Change server.host or server.port."
        )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bind_problem(host: str, port: int) -> OSError | None:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return error
    return None
