"""getupdates: the long poll, its cursor, and what counts as received.

The cursor is opaque for clients. Inside it is a small protobuf with the bot token and a position, so it is a
secret, as on the real platform. A cursor acknowledges everything up to its position; an older cursor brings
back what is not yet acknowledged (`replay`) or nothing (`consume`).
"""

from __future__ import annotations

import base64
import binascii

from yizhan_simulator.knobs import Knobs
from yizhan_simulator.people import Bot
from yizhan_simulator.replies import auth_failed, text
from yizhan_simulator.state import Exchange, Inbox, Json, Outcome, Queued, State, Told, Waiting


def getupdates(state: State, ex: Exchange) -> Outcome:
    """Called again for the same exchange each time its key is signalled. Nothing is consumed while it waits."""
    bot = ex.bot
    assert bot is not None, "authorised before"
    if bot.revoked_at_ms is not None:
        if state.knobs.revoked_poll == "window" and ex.now_ms < ex.until_ms:
            return Waiting(f"bot:{bot.bot_id}", ex.until_ms)
        return auth_failed(state, ex, "revoked")
    bot.last_poll_ms = ex.now_ms
    inbox = state.inbox(bot.bot_id)
    if not ex.until_ms:
        ex.until_ms = ex.now_ms + state.knobs.hold_ms
        ex.cursor = position_in(text(ex.body, "get_updates_buf"), bot.token)
        inbox.acknowledge(ex.cursor)
    batch = _take(inbox, state.knobs)
    if not batch and ex.now_ms < ex.until_ms:
        return Waiting(f"bot:{bot.bot_id}", ex.until_ms)
    ex.draft.count = len(batch)
    return Told(_answer(state, bot, ex, batch))


def _take(inbox: Inbox, knobs: Knobs) -> list[Queued]:
    batch = [inbox.queue[place] for place in range(min(len(inbox.queue), knobs.batch_max))]
    if batch and knobs.inbound == "consume":
        inbox.acknowledge(batch[-1].position)
    return batch


def _answer(state: State, bot: Bot, ex: Exchange, batch: list[Queued]) -> Json:
    knobs = state.knobs
    position = batch[-1].position if batch else max(ex.cursor, state.inbox(bot.bot_id).acked)
    answer: Json = {"ret": 0} if knobs.poll_ret else {}
    answer["msgs"] = [_with_urls(ex, queued.message) for queued in batch]
    answer["get_updates_buf"] = cursor_at(position, bot.token, state.rng.getrandbits(32))
    answer["sync_buf"] = base64.b64encode(b"\x08" + _varint(position)).decode()
    answer["longpolling_timeout_ms"] = knobs.advertised_hold_ms or knobs.hold_ms + 2000
    return answer


def _with_urls(ex: Exchange, message: Json) -> Json:
    """Media links point at this server, by whatever name the client calls it."""
    items = message["item_list"]
    kind = next((name for name in items[0] if name.endswith("_item") and "media" in items[0][name]), None)
    if kind is None:
        return message
    media = items[0][kind]["media"]
    link = f"{base_url(ex)}/c2c/download?encrypted_query_param={_quoted(media['encrypt_query_param'])}"
    return {
        **message,
        "item_list": [{**items[0], kind: {**items[0][kind], "media": {**media, "full_url": link}}}],
    }


def base_url(ex: Exchange) -> str:
    return f"http://{ex.request.headers.get('host', '127.0.0.1')}"


def _quoted(param: str) -> str:
    return param.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


def cursor_at(position: int, token: str, nonce: int) -> str:
    raw = token.encode()
    fields = b"\x0a" + _varint(len(raw)) + raw + b"\x10" + _varint(position) + b"\x18" + _varint(nonce)
    return base64.b64encode(fields).decode()


def position_in(cursor: str, token: str) -> int:
    """0 for an empty, foreign or unreadable cursor: then everything unconsumed is given."""
    try:
        raw = base64.b64decode(cursor, validate=True)
        head = b"\x0a" + _varint(len(token.encode())) + token.encode() + b"\x10"
        return _read_varint(raw, len(head)) if raw.startswith(head) else 0
    except (binascii.Error, ValueError, IndexError):
        return 0


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _read_varint(raw: bytes, place: int) -> int:
    number = shift = 0
    while True:
        number |= (raw[place] & 0x7F) << shift
        if raw[place] < 0x80:
            return number
        place, shift = place + 1, shift + 7
