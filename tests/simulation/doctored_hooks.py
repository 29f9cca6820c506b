"""Posts that are not as they should be: what was done to honest ones, and what must be found."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from simulation.books import Books
from simulation.books_hooks import Addressed, Posted
from simulation.plan_hooks import Hook
from yizhan.model import AccountId, Event, Webhook

Doctor = Callable[[Books], None]
KEY = b"a key"
URL = "https://program.example/0/0"
ANN, BEN = AccountId("weixin:ann@im.bot"), AccountId("weixin:ben@im.bot")


def event(number: int, kind: str = "turn.state", account: AccountId = ANN) -> Event:
    data = json.dumps({"type": kind, "at": "2026-11-21T08:00:00.000Z", "account": account})
    return Event(number, number, kind, account, None, data.encode())


STREAM = [event(1), event(2), event(3, "message.received"), event(4, account=BEN), event(5)]
"""The webhook was added after the first; it wants Ann's turns."""


def post(number: int, process: object = "first", taken: bool = True, **change: Any) -> Posted:
    body = b'{"id":"%d",' % number + STREAM[number - 1].data[1:]
    name = f"evt_{number}"
    signed = hmac.new(change.pop("key", KEY), f"{name}.17.".encode() + body, hashlib.sha256).digest()
    headers = {
        "webhook-id": name,
        "webhook-timestamp": "17",
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }
    return replace(Posted(number, process, headers, body, taken, heard=taken), **change)


def posting(*posts: Posted, cursor: int = 5, missed: int = 0, resumed: Sequence[int] = ()) -> Doctor:
    """The program was posted these, and the webhook came so far."""

    def doctor(books: Books) -> None:
        final = Webhook("wh", URL, "whsec_", 0, cursor, missed=missed)
        hook = Hook(0, frozenset({"turn.state", "message.received"}), account=0)
        books.stream = STREAM
        books.programs = [Addressed(URL, hook, "wh", 1, 5, ANN, KEY, list(posts), list(resumed), final)]

    return doctor


OTHER_WORDS = b'{"id":"2","type":"turn.state"}'


def _signed(body: bytes) -> Posted:
    signed = hmac.new(KEY, b"evt_2.17." + body, hashlib.sha256).digest()
    usual = post(2)
    headers = {**usual.headers, "webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}
    return replace(usual, headers=headers, body=body)


FOUND: list[tuple[str, Doctor, str]] = [
    ("an event that never came", posting(post(2)), f"{URL} never got 1 events, the first is 5 (turn.state)"),
    ("an event that was not taken", posting(post(2), post(5, taken=False)), "never got 1 events"),
    ("not at the end of the stream", posting(post(2), post(5), cursor=4), "has not come to the end of the stream"),
    ("passed over", posting(post(2), post(5), missed=1), "has not come to the end of the stream"),
    ("the second first", posting(post(5), post(2)), "was posted 5 before it had taken 2"),
    ("back again", posting(post(2), post(5), post(2)), "was posted 2 after 5"),
    ("again, although it has it", posting(post(2), post(2), post(5)), "was posted 2 again, although"),
    ("text to who did not ask", posting(post(2), post(3), post(5)), "was posted 3, which it does not want"),
    ("another's events", posting(post(2), post(4), post(5)), "was posted 4, which it does not want"),
    ("what was before it", posting(post(1), post(2), post(5)), "was posted 1, which it does not want"),
    ("a wrong signature", posting(post(2, key=b"other"), post(5)), "was posted 2 without a right signature"),
    ("other words", posting(_signed(OTHER_WORDS), post(5)), "was posted 2 with other words than the stream's"),
    (
        "knocking where nothing is wanted",
        posting(post(2, taken=False, gone=True), post(2), post(5)),
        "was posted 2 after it had said that it wants nothing more",
    ),
]  # fmt: skip

HONEST: list[tuple[str, Doctor]] = [
    ("one after the other", posting(post(2), post(5))),
    ("until it is taken", posting(post(2, taken=False), post(2, taken=False), post(2), post(5))),
    ("its answer was lost", posting(post(2, heard=False), post(2), post(5))),
    ("a crash behind the answer", posting(post(2), post(2, "second"), post(5, "second"))),
    ("a crash behind several", posting(post(2), post(5), post(2, "second"), post(5, "second"))),
    ("switched on again", posting(post(2, taken=False, gone=True), post(2), post(5), resumed=[1])),
]  # fmt: skip
"""What looks odd, and is as it should be."""
