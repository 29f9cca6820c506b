"""What systemd wants to hear (sd_notify): READY, STATUS, WATCHDOG, STOPPING. Silent elsewhere."""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> None:
    """Sends the lines to $NOTIFY_SOCKET, if there is one. Never raises: the gateway runs without it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto("\n".join(lines).encode(), address)
    except OSError:
        return


def watchdog_s() -> float | None:
    """Half of what $WATCHDOG_USEC allows between signs of life; None where nobody watches."""
    allowed = os.environ.get("WATCHDOG_USEC", "")
    return int(allowed) / 2_000_000 if allowed.isdigit() and int(allowed) else None
