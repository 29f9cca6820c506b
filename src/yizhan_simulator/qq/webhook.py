"""Webhook mode: the platform as a client that posts signed events to an address, and asks again when unheard.

The world makes no request itself: a driver takes what waits (`QqSide.postings`), carries it out and says what came
back (`QqSide.posted`).

Source: bot.q.qq.com "event-emit" and "sign". Number and rhythm of the tries are not documented.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from yizhan_simulator.ledger import Effect
from yizhan_simulator.people import SimError
from yizhan_simulator.qq.people import QqBot
from yizhan_simulator.qq.posting import Posting, signature, validation_signature
from yizhan_simulator.qq.socket import Json
from yizhan_simulator.qq.state import Event, QqState
from yizhan_simulator.weather import Fault

KEY = "postings"
"""Signalled when a posting waits for the driver."""
OLD_MS = 3_600_000
"""How old the stamp of a posting is that the fault `stale_stamp` has struck."""


def plan(state: QqState, bot: QqBot, frame: Json, event: Event, now_ms: int) -> None:
    """One event to the bot's address."""
    body = msgspec.json.encode({**frame, "s": state.number()})
    message_id = str(event.body.get("id", ""))
    state.note(
        now_ms, "qq.dispatch", bot.app_id, user_id=event.user_id, text=event.text, receipt=message_id,
        client_id=str(frame["id"]), detail=event.type, wire="webhook",
    )  # fmt: skip
    strike = state.strike("qq.webhook", bot.app_id, event.about, now_ms)
    fault = strike[1] if strike else None
    _queue(state, _signed(state, bot, body, now_ms, fault))
    if fault is not None and fault.kind == "double":
        _queue(state, _signed(state, bot, body, now_ms, None))


def _signed(state: QqState, bot: QqBot, body: bytes, now_ms: int, fault: Fault | None) -> Posting:
    stamp_ms = now_ms - OLD_MS if fault is not None and fault.kind == "stale_stamp" else now_ms
    stamp = str(stamp_ms // 1000)
    forged = fault is not None and fault.kind == "forged"
    signed = signature(f"not the {bot.secret}" if forged else bot.secret, stamp, body)
    headers = {
        "Content-Type": "application/json", "User-Agent": "QQBot-Callback", "X-Bot-Appid": bot.app_id,
        "X-Signature-Ed25519": signed, "X-Signature-Timestamp": stamp,
    }  # fmt: skip
    return Posting(state.number(), bot.app_id, bot.webhook_url, headers, body, state.knobs.webhook_timeout_ms)


def _queue(state: QqState, posting: Posting) -> None:
    state.postings[posting.number] = posting
    state.shared.signal(KEY)


def validate(state: QqState, bot: QqBot, now_ms: int) -> int:
    """Op 13 to the bot's address, as when somebody enters it in the console; gives the posting's number."""
    if not bot.webhook_url:
        raise SimError(f"{bot.name!r} has no webhook")
    told = {"plain_token": "".join(state.rng.choices("abcdefghjkmnpqrstuvwxyz", k=20))}
    body = msgspec.json.encode({"op": 13, "d": {**told, "event_ts": str(now_ms // 1000)}})
    posting = _signed(state, bot, body, now_ms, None)
    _queue(state, posting)
    return posting.number


def answered(state: QqState, posting: Posting, status: int | None, body: bytes, now_ms: int) -> None:
    """What came back; `status` None: nothing. Tries again later, with a fresh stamp, when it was no yes."""
    bot = state.register.bots.get(posting.app_id)
    asked = msgspec.json.decode(posting.body)
    good = bot is not None and _is_yes(bot, asked, status, body)
    state.note(
        now_ms, "qq.webhook", posting.app_id, effect=Effect.ANSWERED if good else Effect.REFUSED, count=posting.attempt,
        client_id=str(asked.get("id", "")), detail=f"op {asked['op']}: {status} {body[:80]!r}",
    )  # fmt: skip
    if good or bot is None or asked["op"] == 13 or posting.attempt >= state.knobs.webhook_tries:
        return
    state.shared.later(
        now_ms + state.knobs.webhook_retry_ms, lambda at_ms: _again(state, bot, posting, at_ms)
    )


def _again(state: QqState, bot: QqBot, posting: Posting, now_ms: int) -> None:
    _queue(state, replace(_signed(state, bot, posting.body, now_ms, None), attempt=posting.attempt + 1))


def _is_yes(bot: QqBot, asked: Json, status: int | None, body: bytes) -> bool:
    """An event: any 200 but `{"op":12,"d":1}`, which says that it failed; receivers in use answer all kinds of
    bodies. The validation: the signature that only the secret's owner can make.
    """
    if status != 200:
        return False
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        told = None
    found = told if isinstance(told, dict) else {}
    if asked["op"] == 13:
        right = validation_signature(bot.secret, asked["d"]["event_ts"], asked["d"]["plain_token"])
        return found.get("plain_token") == asked["d"]["plain_token"] and found.get("signature") == right
    return not (found.get("op") == 12 and found.get("d") != 0)
