"""QQ's services have two addresses each, an older and a newer one, and now and then only one of them works. Pure.

After five failures in a row the other one is used, and kept for as long as it works. An answer with a refusal in it is
no failure: the host is well, and means what it says. An address that the operator has named has no other.
Source: the wiki bot.q.qq.com (2026) for the newer ones; hermes-agent #73378: `/gateway` answered 500 at one only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from yizhan.platforms.fields import Odd
from yizhan.platforms.qq.answers import open_answer
from yizhan.ports import Absence, Reply, Request

FAILURES_MAX = 5
OTHERS = {
    "https://api.sgroup.qq.com": "https://api.bot.qq.com",
    "https://api.bot.qq.com": "https://api.sgroup.qq.com",
    "https://bots.qq.com": "https://api.bot.qq.com",
}
"""Address → where the same is served."""


@dataclass(frozen=True, slots=True)
class Bases:
    """`urls`: the account's own address first. `at`: which is in use. `failures`: of that one, in a row."""

    urls: tuple[str, ...]
    at: int = 0
    failures: int = 0

    @property
    def url(self) -> str:
        return self.urls[self.at]


def bases_of(url: str, others: Mapping[str, str]) -> Bases:
    """The address and the other one, if it has one."""
    other = others.get(url.rstrip("/"))
    return Bases((url, other) if other else (url,))


def noted(bases: Bases, reply: Reply) -> Bases:
    """What the reply of the one in use says about it."""
    if not _failed(reply):
        return replace(bases, failures=0)
    if bases.failures + 1 < FAILURES_MAX:
        return replace(bases, failures=bases.failures + 1)
    return replace(bases, at=(bases.at + 1) % len(bases.urls), failures=0)


def directed(request: Request, bases: Bases) -> Request:
    """A request to the account's own address, as it is sent to the one in use."""
    if bases.at == 0:
        return request
    return replace(request, url=bases.url + request.url.removeprefix(bases.urls[0].rstrip("/")))


def _failed(reply: Reply) -> bool:
    return isinstance(reply, Absence) or reply.status >= 500 or isinstance(open_answer(reply), Odd)
