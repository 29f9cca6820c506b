"""The phone's side: what a person writes becomes messages in the bot's inbox, with a fresh reply token each."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal

from yizhan_simulator.cdn import Blob, ciphertext_size
from yizhan_simulator.knobs import DupInbound
from yizhan_simulator.ledger import Draft, Effect
from yizhan_simulator.people import Bot, Bubble, Conversation, SimError
from yizhan_simulator.state import Json, State

MAX_ATTACHMENT_BYTES = 25 << 20
ITEM_TYPES = {"image": 2, "voice": 3, "file": 4, "video": 5}
ITEM_NAMES = {number: name for name, number in ITEM_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something sent from the phone. Without `content`, `size` bytes are made up. `text`: a voice's transcript."""

    kind: Literal["image", "voice", "file", "video"]
    name: str = ""
    size: int = 0
    content: bytes = field(default=b"", repr=False)
    text: str = ""
    playtime_ms: int = 2380


@dataclass(frozen=True, slots=True)
class Quote:
    """A quoted message: by words (older phones), by the platform's id (newer ones), or both."""

    text: str = ""
    message_id: str = ""


def say(
    state: State,
    bot: Bot,
    user_id: str,
    words: str,
    items: tuple[Attachment, ...],
    quote: Quote | None,
    now_ms: int,
) -> tuple[str, ...]:
    """Message ids, as text, in order. A long text becomes several messages, each attachment its own."""
    if not words and not items:
        raise SimError("nothing to say: neither text nor attachment")
    chat = state.people.conversation(bot.bot_id, user_id)
    pieces: list[tuple[Json, Bubble]] = [
        (_text_item(piece, quote if place == 0 else None), _bubble(state, now_ms, "text", piece, quote))
        for place, piece in enumerate(_split(words, state.knobs.split_text_at))
    ]
    pieces += [_attached(state, attachment, now_ms) for attachment in items]
    return tuple(_hand_in(state, bot, chat, item, bubble, now_ms) for item, bubble in pieces)


def _split(words: str, at: int) -> list[str]:
    if at <= 0:
        return [words] if words else []
    return [words[start : start + at] for start in range(0, len(words), at)]


def _bubble(state: State, now_ms: int, kind: str, words: str, quote: Quote | None = None) -> Bubble:
    quoted = (quote.text or f"#{quote.message_id}") if quote else ""
    return Bubble(state.next_bubble(), now_ms, False, kind, words, str(state.new_message_id()), quoted=quoted)


def _text_item(words: str, quote: Quote | None) -> Json:
    item: Json = {"type": 1, "text_item": {"text": words}}
    if quote is not None:
        ref: Json = {}
        if quote.text:
            quoted = {"type": 1, "is_completed": True, "text_item": {"text": quote.text}}
            ref |= {"title": quote.text[:64], "message_item": quoted}
        if quote.message_id:
            ref["svr_id"] = quote.message_id
        item["ref_msg"] = ref
    return item


def _attached(state: State, attachment: Attachment, now_ms: int) -> tuple[Json, Bubble]:
    content = attachment.content or _made_up(attachment)
    key = state.rng.randbytes(16)
    param = state.people.base64_of("AAFF", 96)
    state.cdn.keep(param, Blob(content, key))
    encoded = key if attachment.kind == "image" else key.hex().encode()
    media: Json = {
        "encrypt_query_param": param,
        "aes_key": base64.b64encode(encoded).decode(),
        "encrypt_type": 1,
        "full_url": "",
    }
    name = attachment.name or f"{attachment.kind}.bin"
    body = _media_body(attachment, media, name, len(content), key if state.knobs.image_aeskey else None)
    bubble = _bubble(state, now_ms, attachment.kind, attachment.text)
    shown = Bubble(
        bubble.number, now_ms, False, attachment.kind, attachment.text, bubble.message_id, "", name, len(content), "",
        param,
    )  # fmt: skip
    return {"type": ITEM_TYPES[attachment.kind], f"{attachment.kind}_item": body}, shown


def _made_up(attachment: Attachment) -> bytes:
    if not 0 <= attachment.size <= MAX_ATTACHMENT_BYTES:
        raise SimError(f"size must be 0 to {MAX_ATTACHMENT_BYTES} bytes, not {attachment.size}")
    pattern = f"{attachment.kind} {attachment.name} ".encode()
    return (pattern * (attachment.size // len(pattern) + 1))[: attachment.size]


def _media_body(attachment: Attachment, media: Json, name: str, size: int, hex_key: bytes | None) -> Json:
    """Source: @tencent-weixin/openclaw-weixin 2.4.9, src/api/types.ts; `len` is a string, other sizes are numbers."""
    match attachment.kind:
        case "image":
            sizes: Json = {
                "mid_size": ciphertext_size(size),
                "hd_size": ciphertext_size(size),
                "thumb_size": 0,
            }
            return {"media": media, **sizes, **({"aeskey": hex_key.hex()} if hex_key else {})}
        case "voice":
            voice: Json = {"encode_type": 4, "bits_per_sample": 16, "sample_rate": 16000}
            voice |= {"media": media, "playtime": attachment.playtime_ms}
            return {**voice, **({"text": attachment.text} if attachment.text else {})}
        case "file":
            return {"media": media, "file_name": name, "len": str(size)}
        case "video":
            return {
                "media": media,
                "video_size": ciphertext_size(size),
                "play_length": attachment.playtime_ms // 1000,
            }


def _hand_in(state: State, bot: Bot, chat: Conversation, item: Json, bubble: Bubble, now_ms: int) -> str:
    token = state.people.base64_of("AARzJWAFAAABAAAA", 136)
    chat.issue(token, now_ms)
    chat.last_inbound_ms = now_ms
    chat.sends_since_inbound = 0
    message = _message(bot, chat, item, bubble, token)
    _queue_perhaps_late(state, bot, message, now_ms)
    _repeat_later(state, bot, chat, message, now_ms)
    draft = Draft(
        Effect.PHONE, bot.bot_id, chat.user_id, text=bubble.text, token=token, receipt=bubble.message_id
    )
    draft.detail = bubble.kind
    state.ledger.note(now_ms, "say", draft)
    state.show(chat, bubble)
    return bubble.message_id


def _message(bot: Bot, chat: Conversation, item: Json, bubble: Bubble, token: str) -> Json:
    at_ms = bubble.at_ms
    return {
        "message_id": int(bubble.message_id),
        "from_user_id": chat.user_id,
        "to_user_id": bot.bot_id,
        "client_id": f"mmassistant_bypmsg_inbox_{bubble.number}",
        "create_time_ms": at_ms,
        "update_time_ms": at_ms,
        "delete_time_ms": 0,
        "session_id": "",
        "group_id": "",
        "message_type": 1,
        "message_state": 2,
        "context_token": token,
        "item_list": [{"create_time_ms": at_ms, "update_time_ms": at_ms, "is_completed": True, **item}],
    }


def _queue(state: State, bot: Bot, message: Json) -> None:
    bot.last_seq += 1
    state.inbox(bot.bot_id).put({"seq": bot.last_seq, **message})
    state.signal(f"bot:{bot.bot_id}")


def _queue_perhaps_late(state: State, bot: Bot, message: Json, now_ms: int) -> None:
    late = state.knobs.late_inbound
    if late is None or state.rng.random() >= late.probability:
        _queue(state, bot, message)
    else:
        state.later(now_ms + late.after_ms, lambda _: _queue(state, bot, message))


def replay(state: State, bot: Bot, count: int) -> int:
    """The platform hands over again what a cursor has acknowledged already: the last `count` messages, 64 at most."""
    inbox = state.inbox(bot.bot_id)
    again = list(inbox.done)[-count:] if count > 0 else []
    for queued in again:
        inbox.put(queued.message)
    state.signal(f"bot:{bot.bot_id}")
    return len(again)


def _repeat_later(state: State, bot: Bot, chat: Conversation, message: Json, now_ms: int) -> None:
    again = state.knobs.dup_inbound
    if again is None or state.rng.random() >= again.probability:
        return
    state.later(now_ms + again.after_ms, lambda at_ms: _repeat(state, bot, chat, message, again, at_ms))


def _repeat(state: State, bot: Bot, chat: Conversation, message: Json, again: DupInbound, at_ms: int) -> None:
    copy = dict(message)
    if again.id == "new":
        copy["message_id"] = state.new_message_id()
    if again.id == "none":
        del copy["message_id"]
    if again.token == "new":
        copy["context_token"] = state.people.base64_of("AARzJWAFAAABAAAA", 136)
        chat.issue(copy["context_token"], at_ms)
    draft = Draft(Effect.PHONE, bot.bot_id, chat.user_id, detail="the platform repeats a message")
    draft.receipt = str(copy.get("message_id", ""))
    state.ledger.note(at_ms, "repeat", draft)
    _queue(state, bot, copy)
