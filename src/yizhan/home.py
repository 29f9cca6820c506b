"""The home: one directory with everything of a gateway. 0700, and 0600 for what is secret in it."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from yizhan.errors import SettingsError
from yizhan.ports import Chance


def prepare(home: Path) -> None:
    """Makes the home if it is missing. Raises SettingsError if it cannot be used, saying what to change."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(home.stat().st_mode) & 0o077 and home.stat().st_uid == os.getuid() and _is_ours(home):
            home.chmod(0o700)
        probe = home / ".probe"
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"The home {home} cannot be used: {error.strerror}.",
            "Give this user read and write access to it, or choose another with --home or YIZHAN_HOME.",
        ) from None


def _is_ours(home: Path) -> bool:
    """Empty, or a home already. Any other directory (a mistyped --home may be `/`) keeps its mode."""
    names = {path.name for path in home.iterdir()}
    return not names or bool(names & {"yizhan.db", "api-key", "config.yaml"})


def api_key(home: Path, environ: Mapping[str, str], chance: Chance) -> str:
    """The plain key of the API: YIZHAN_API_KEY, else the home's file `api-key`, made at first use."""
    if given := environ.get("YIZHAN_API_KEY", "").strip():
        return given
    file = home / "api-key"
    try:
        if key := file.read_text(encoding="ascii").strip():
            return key
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file} cannot be read: {error}.", "Make it readable, or remove it to have a new key made."
        ) from None
    key = "yz_" + chance.token_hex(24)
    write_private(file, key + "\n")
    return key


def secret_key(environ: Mapping[str, str]) -> str | None:
    """What encrypts secrets in the database: YIZHAN_SECRET_KEY, or systemd's credential `yizhan-secret-key`."""
    if given := environ.get("YIZHAN_SECRET_KEY"):
        return given
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    try:
        return (Path(folder) / "yizhan-secret-key").read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The credential yizhan-secret-key cannot be read: {error}.", "Check LoadCredential= of the unit."
        ) from None


def free_bytes(home: Path) -> int | None:
    """Room left on the home's disk; None where the system does not tell."""
    try:
        return shutil.disk_usage(home).free
    except OSError:
        return None


def time_zone(environ: Mapping[str, str], localtime: Path = Path("/etc/localtime")) -> str:
    """The machine's time zone by its name: TZ, else what /etc/localtime points to, else UTC."""
    named = environ.get("TZ", "").removeprefix(":")
    try:
        linked = str(localtime.readlink()).rpartition("zoneinfo/")[2]
    except OSError:
        linked = ""
    return next((name for name in (named, linked) if _is_zone(name)), "UTC")


def _is_zone(name: str) -> bool:
    try:
        return bool(name) and bool(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return False


def announce(home: Path, url: str, version: str) -> None:
    """Writes gateway.json, by which the command line finds the running gateway."""
    note = {"pid": os.getpid(), "url": url, "version": version}
    write_private(home / "gateway.json", json.dumps(note) + "\n")


def withdraw(home: Path) -> None:
    """Removes our gateway.json."""
    (home / "gateway.json").unlink(missing_ok=True)


def write_private(file: Path, text: str) -> None:
    """A file of mode 0600, complete or not there."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from None
    fresh.replace(file)
