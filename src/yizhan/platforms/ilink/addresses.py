"""Addresses that a server hands us during a login: believed only as far as they keep the token safe.

A bot token travels to the address that the confirmation names, so that address has to be HTTPS. The one
exception is a gateway that the operator himself has configured as `http://` on this machine, a simulator:
then its redirects may be plain, too.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"([A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:]{2,45}\])(:\d{1,5})?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def polling_address(host: str, base_url: str) -> str:
    """`redirect_host`, a bare host name or a URL → the address to ask at; empty if it is neither.

    Source: @tencent-weixin/openclaw-weixin 2.4.9 puts `https://` before it; nanobot-ai 0.3.5 accepts a URL.
    """
    host = host.strip()
    if "://" in host:
        return trusted_address(host, base_url)
    if not _HOST.fullmatch(host):
        return ""
    scheme = "http" if _plain_loopback(_split(base_url)) else "https"
    return f"{scheme}://{host}"


def trusted_address(url: str, base_url: str) -> str:
    """A URL from the server without its trailing slash, raised to HTTPS; empty if it is none.

    Plain HTTP stays only for a host on this machine, or the very host that the operator configured so.
    """
    parts, base = _split(url.strip()), _split(base_url)
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
        return ""
    plain = parts.scheme == base.scheme == "http"
    kept = plain and (parts.netloc == base.netloc or (_plain_loopback(parts) and _plain_loopback(base)))
    scheme = "http" if kept else "https"
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def host_of(url: str) -> str:
    """Host and port of a URL, empty if it is none."""
    return _split(url).netloc


def _plain_loopback(parts: SplitResult) -> bool:
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
