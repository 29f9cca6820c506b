"""Which addresses a request may go to that somebody else has named. Pure: judges numbers, resolves nothing.

How to think of it: a URL that came out of a chat, an agent's answer or a stranger's page is a wish, and the
gateway stands where the wisher does not: beside routers, databases and the metadata service of a cloud. So
such a URL is judged twice: by its form, and, once its name has been resolved, by every address that the name
has. Only an address that anybody on the internet could reach is `public`. The request then goes to the very
addresses that were judged (`guarded.py`), so that a name cannot mean something else a moment later.

A URL that the operator has written down is no such wish, and is not judged here.

Source: the special-purpose registries of RFC 6890 as `ipaddress` knows them; 100.64.0.0/10 of RFC 6598;
addresses that hold an IPv4 address: RFC 4291 (mapped, compatible), RFC 6052 (NAT64), RFC 3056 (6to4),
RFC 4380 (Teredo).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_RESERVED = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10")))
"""Reserved as well, though not every release of the standard library says so."""
_METADATA = frozenset({ipaddress.ip_address("169.254.169.254"), ipaddress.ip_address("fd00:ec2::254")})
_MAX_URL_CHARS = 2048


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Why a request may not go there, in a few words for the operator."""

    why: str


def judge_address(address: str) -> Forbidden | None:
    """None: the address is public. Takes IPv4 and IPv6 as text, also with a zone (`fe80::1%eth0`)."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return Forbidden("it is no IP address")
    return _judge(number)


def judge_url(url: str) -> Forbidden | None:
    """What can be said before its name is resolved: its form, and a host that is written as a number, in every spelling
    that resolvers understand."""
    forbidden = judge_form(url)
    if forbidden is not None:
        return forbidden
    number = number_of(urlsplit(url).hostname or "")
    return None if number is None else _judge(number)


def judge_form(url: str) -> Forbidden | None:
    """http or https, a host, no port that is none; and neither user name nor password, which would be shown wherever
    the address is."""
    if len(url) > _MAX_URL_CHARS:
        return Forbidden(f"it is longer than {_MAX_URL_CHARS} characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return Forbidden("it is no URL")
    if parts.scheme not in ("http", "https"):
        return Forbidden("it is neither http nor https")
    if not host or port == 0:
        return Forbidden("it names no host")
    if parts.username is not None or parts.password is not None:
        return Forbidden("it holds a user name or a password")
    return None


def number_of(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is, None for a name. `127.1`, `0x7f.1` and `2130706433` are addresses too: resolvers
    read them as `inet_aton` does."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return _loosely(host.rstrip("."))


def _judge(number: IPv4Address | IPv6Address) -> Forbidden | None:
    inner = _inside(number)
    if inner is not None:
        return _judge(inner)
    if number in _METADATA:
        return Forbidden("it is the metadata service of a cloud")
    if number.is_unspecified or number.is_loopback:
        return Forbidden("it is this machine")
    if number.is_link_local:
        return Forbidden("it is an address of the local link")
    if number.is_multicast:
        return Forbidden("it is a multicast address")
    if not number.is_global or number.is_reserved or any(number in block for block in _RESERVED):
        return Forbidden("it is a private or reserved address")
    return None


def _inside(number: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    if isinstance(number, IPv4Address):
        return None
    if number.ipv4_mapped is not None:
        return number.ipv4_mapped
    if number.sixtofour is not None:
        return number.sixtofour
    if number.teredo is not None:
        return number.teredo[1]
    held = number in _NAT64 or (number in _COMPATIBLE and int(number) > 0xFFFF)
    return IPv4Address(int(number) & 0xFFFFFFFF) if held else None


def _loosely(host: str) -> IPv4Address | None:
    """One to four numbers, the last one filling what is left; decimal, octal (0…) or hexadecimal (0x…)."""
    words = host.split(".")
    if not 1 <= len(words) <= 4:
        return None
    numbers = [_number(word) for word in words]
    if any(number is None for number in numbers):
        return None
    *heads, last = [number for number in numbers if number is not None]
    room = 256 ** (4 - len(heads))
    if last >= room or any(head > 255 for head in heads):
        return None
    value = last
    for place, head in enumerate(heads):
        value += head << (8 * (3 - place))
    return IPv4Address(value)


def _number(word: str) -> int | None:
    lower = word.lower()
    base = 16 if lower.startswith("0x") else 8 if len(lower) > 1 and lower.startswith("0") else 10
    digits = lower[2:] if base == 16 else lower
    if not digits or not digits.isascii() or not digits.isalnum():
        return 0 if lower == "0x" else None
    try:
        return int(digits, base)
    except ValueError:
        return None
