"""Posted events in the books: what reached the programs."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulation.plan_hooks import Hook
from yizhan.model import AccountId, Event, Webhook


@dataclass(slots=True)
class Posted:
    """One post: the event, who has posted it, and what was made of it: whether the program has taken it, whether it was
    heard to say so, and whether it has said that it wants nothing more."""

    event: int
    process: object
    headers: Mapping[str, str]
    body: bytes
    taken: bool = False
    heard: bool = False
    gone: bool = False

    def signed_by(self, key: bytes) -> bool:
        """As Standard Webhooks have it."""
        what = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        signed = hmac.new(key, what, hashlib.sha256).digest()
        return self.headers["webhook-signature"] == "v1," + base64.b64encode(signed).decode()


@dataclass(slots=True)
class Addressed:
    """A program, and what it was posted.

    id       empty: whoever asked for it was told nothing
    begins   the newest event when it was added; `until`: at the end of the world
    key      with which posts to it are signed
    resumed  before which post, by number, somebody has switched it on
    final    the webhook at the end of the world
    """

    url: str
    hook: Hook
    id: str = ""
    begins: int = 0
    until: int = 0
    account: AccountId | None = None
    key: bytes = b""
    posts: list[Posted] = field(default_factory=list)
    resumed: list[int] = field(default_factory=list)
    final: Webhook | None = None

    def wants(self, event: Event) -> bool:
        """As docs/contract.md says it."""
        if event.id <= self.begins or (event.type == "message.received" and not self.hook.private):
            return False
        ours = self.account is None or event.account in (None, self.account)
        return ours and (not self.hook.types or event.type in self.hook.types)
