"""What pages need of the house, and how it comes to them: with each request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request

from yizhan.web.console.feed import Feed

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway
    from yizhan.web.keys import KeyRing

CONSOLE = "yizhan.console"
"""Key of the Console in a request's scope."""
STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Console:
    """What the pages need of the house."""

    gateway: Gateway
    feed: Feed
    keys: KeyRing

    @classmethod
    def of(cls, gateway: Gateway, keys: KeyRing) -> Console:
        return cls(gateway, Feed(gateway.store), keys)


def console_of(request: Request) -> Console:
    console = request.scope[CONSOLE]
    assert isinstance(console, Console)
    return console
