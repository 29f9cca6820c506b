"""What a poll's reply says: messages, the next cursor, or that the line is lost.

One malformed message must cost neither its neighbours nor the cursor: with a readable sender it becomes a
message with what could be read, without one it is counted. A code in the answer, a page in HTML, a list of
messages that is no list: the line is lost for now, and the cursor stays where it is.

Source of the message schema: @tencent-weixin/openclaw-weixin 2.4.9, `src/api/types`.
"""

from __future__ import annotations

from yizhan.model import Account, ChatId, Item
from yizhan.platforms.fields import Fields, Odd, parse_object
from yizhan.platforms.ilink.body import Envelope, open_envelope
from yizhan.platforms.ilink.policy import HOLD_MAX_MS, HOLD_MIN_MS, HTTP_REFUSALS, STALE_LOGIN
from yizhan.ports import Absence, AbsenceKind, Answer, Batch, Heard, Lost, LostKind, Reply

LOGIN_ACTION = "log in again: yizhan login weixin"

_BOT_SAID = 2
"""`message_type` of the bot's own messages, which some servers echo. Source: 2.4.9 `MessageType`."""
_KINDS = {1: "text", 2: "image", 3: "voice", 4: "file", 5: "video"}
"""`type` of an item → our word for it. Source: 2.4.9 `MessageItemType`."""
_NAME_BOUND = 256
_LATEST_MS = 253_402_300_799_999
"""The end of the year 9999, the last moment that can be written down as a date."""


def decode(account: Account, reply: Reply) -> Batch | Lost:
    """What the reply to a poll says. Total: every reply is a batch or a loss."""
    envelope = read(reply)
    if isinstance(envelope, Lost):
        return envelope
    if envelope.code:
        return refused(envelope)
    fields = envelope.fields
    if envelope.code is None and not (fields.has("msgs") or fields.has("get_updates_buf")):
        return Lost(
            LostKind.SERVER, "empty", "the answer to the poll holds nothing that a poll's answer holds"
        )
    messages = fields.children("msgs")
    if messages is None and fields.has("msgs"):
        return Lost(LostKind.SERVER, "wrong-types", "the list of messages is no list")
    return _batch(account, fields, messages or ())


def read(reply: Reply) -> Envelope | Lost:
    """The envelope of any call's reply but a send's, or what is wrong with the line."""
    if isinstance(reply, Absence):
        never_left = reply.kind is AbsenceKind.NOT_SENT
        return Lost(LostKind.UNREACHABLE if never_left else LostKind.NETWORK, reply.kind.value, reply.text)
    envelope = open_envelope(reply.body)
    if not 200 <= reply.status < 300:
        return _lost_by_status(reply, envelope)
    if isinstance(envelope, Odd):
        return Lost(LostKind.SERVER, envelope.code, envelope.text)
    return envelope


def refused(envelope: Envelope) -> Lost:
    """What a code other than zero says about the line.

    Source: 2.4.9 and every capture: `errcode -14`, `session timeout`, also after another scan (#69, #156).
    """
    if envelope.code == STALE_LOGIN:
        text = "WeChat does not accept this login any more; perhaps the user has linked another program"
        return Lost(LostKind.LOGIN, str(STALE_LOGIN), text, LOGIN_ACTION)
    return Lost(LostKind.SERVER, str(envelope.code), envelope.words or "refused without a word")


def _lost_by_status(answer: Answer, envelope: Envelope | Odd) -> Lost:
    if answer.status < 500 and isinstance(envelope, Envelope) and envelope.code:
        return refused(envelope)
    _, words = HTTP_REFUSALS.get(answer.status, (None, "the server or something before it is in trouble"))
    return Lost(LostKind.SERVER, f"http {answer.status}", words)


def _batch(account: Account, fields: Fields, messages: tuple[Fields | None, ...]) -> Batch:
    heard: list[Heard] = []
    unreadable = 0
    for message in messages:
        sender = message.text("from_user_id").strip() if message else ""
        if message is None or not sender or len(sender) > _NAME_BOUND:
            unreadable += 1
        elif not _own(account, message, sender):
            heard.append(_heard(message, sender))
    cursor = fields.text("get_updates_buf") or None
    return Batch(tuple(heard), cursor, _hold_ms(fields), unreadable)


def _own(account: Account, message: Fields, sender: str) -> bool:
    return message.integer("message_type") == _BOT_SAID or sender == account.external_id


def _hold_ms(fields: Fields) -> int | None:
    hold_ms = fields.integer("longpolling_timeout_ms")
    return hold_ms if hold_ms is not None and HOLD_MIN_MS <= hold_ms <= HOLD_MAX_MS else None


def _heard(message: Fields, sender: str) -> Heard:
    """One message. The chat is the sender: groups do not exist (Tencent/openclaw-weixin #152)."""
    items = [item for item in message.children("item_list") or () if item is not None]
    return Heard(
        chat=ChatId(sender),
        chat_kind="direct",
        platform_message_id=_identifier(message, "message_id"),
        sender_id=sender,
        sender_name="",
        text="\n".join(text for text in map(_text, items) if text),
        quoted_text="\n".join(quote for quote in map(_quoted, [*items, message]) if quote),
        items=tuple(_item(item) for item in items if _kind(item) != "text"),
        sent_at_ms=_sent_at_ms([message, *items]),
        token=message.text("context_token"),
        quoted_id=next((found for found in map(_quoted_id, [*items, message]) if found), None),
    )


def _sent_at_ms(carriers: list[Fields]) -> int:
    """The first believable create time, of the message or of its items; 0 without one."""
    times = (carrier.integer("create_time_ms") for carrier in carriers)
    return next((time for time in times if time is not None and 0 < time <= _LATEST_MS), 0)


def _kind(item: Fields) -> str:
    """Our word for the item's type; for an item without type, what its body is called."""
    number = item.integer("type")
    if number is None:
        return next((kind for kind in _KINDS.values() if item.child(f"{kind}_item")), "unknown")
    return _KINDS.get(number, f"type{number}"[:_NAME_BOUND])


def _body(item: Fields) -> Fields:
    return item.child(f"{_kind(item)}_item") or Fields({})


def _text(item: Fields) -> str:
    """What the item says in words: a text, or WeChat's transcript of a voice message."""
    return _body(item).text("text") if _kind(item) in ("text", "voice") else ""


def _item(item: Fields) -> Item:
    """Kind, name and size of an item that is not text. The transfer of media is another matter.

    Source: 2.4.9: `file_item.len` is a text, the sizes of the others are numbers; voice has none.
    """
    body = _body(item)
    sizes = (body.integer(name) for name in ("len", "video_size", "hd_size", "mid_size"))
    size = next((size for size in sizes if size is not None and 0 < size < 2**53), None)
    return Item(_kind(item), body.text("file_name")[:_NAME_BOUND] or None, size)


def _quoted(carrier: Fields) -> str:
    """The message that the user answers to, in full as far as the server sends it.

    Source: 2.4.9 `RefMessage`: `title`, `message_item` (older WeChat), `svr_id` with `partial_text` (newer);
    vschat has seen it below `extra`, also as JSON in a text.
    """
    quote = _quote(carrier)
    if quote is None:
        return ""
    title, body = quote.text("title"), _quoted_item(quote)
    if not title or title in body:
        return body or _partial(quote)
    return f"{title}\n{body}" if body and body not in title else title


def _quoted_id(carrier: Fields) -> str | None:
    quote = _quote(carrier)
    return _identifier(quote, "svr_id") if quote else None


def _quote(carrier: Fields) -> Fields | None:
    return carrier.child("ref_msg") or _extra(carrier).child("ref_msg")


def _identifier(fields: Fields, name: str) -> str | None:
    found = fields.identifier(name)
    return found if isinstance(found, str) else None


def _extra(carrier: Fields) -> Fields:
    nested = carrier.child("extra")
    if nested is not None:
        return nested
    parsed = parse_object(carrier.text("extra").encode())
    return Fields({}) if isinstance(parsed, Odd) else Fields(parsed)


def _quoted_item(quote: Fields) -> str:
    item = quote.child("message_item")
    if item is None:
        return ""
    if text := _text(item):
        return text
    named = _item(item)
    return "" if named.kind == "text" else f"[{named.kind}{': ' + named.name if named.name else ''}]"


def _partial(quote: Fields) -> str:
    """First and last characters of a quote by id: all that newer servers send of it."""
    part = quote.child("partial_text")
    if part is None:
        return ""
    start, end = part.text("start"), part.text("end")
    return start if start == end or not end else f"{start} … {end}"
