"""What an event of QQ says: a message, a consent, the end of an audit, or nothing that we need. Pure and total.

A message that lacks what it cannot be answered without (its id, its chat, its sender) is `Unreadable`; everything
else about it may be missing. The message's own id is what repeats are known by: both kinds of group event carry
the same one, and a replay brings it again.

In a group where "receive all messages" is on, a mention comes as GROUP_MESSAGE_CREATE and not as
GROUP_AT_MESSAGE_CREATE, among everything that others say: `mentions[].is_you` tells them apart.
Source of shapes: bot-docs (2025-04-21), the wiki bot.q.qq.com (July to September 2026), captures of NB, BP and HM;
hermes-agent #63761 and AstrBot #8842 for the groups.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from yizhan.model import Item
from yizhan.platforms.fields import Fields
from yizhan.platforms.qq.chats import Scope, chat_id
from yizhan.platforms.qq.frames import Frame
from yizhan.ports import Audit, Batch, Consent, Heard

_ID_MAX = 512
_NAME_MAX = 256
_ITEMS_MAX = 64
_QUOTES_MAX = 16
_LATEST_MS = 253_402_300_799_999
EVENT_TOKEN = "event:"
"""Begins a reply token that is the id of an event; all others are ids of messages."""
_MENTION = re.compile(r"<@!?([A-Za-z0-9_-]{1,128})>")


@dataclass(frozen=True, slots=True)
class Interaction:
    """A button was pressed: to be acknowledged at once under `id`, and heard as a message if it says something."""

    id: str
    heard: Heard | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message of which nothing can be made."""


Event = Heard | Interaction | Consent | Audit | Unreadable


def read_event(frame: Frame) -> Event | None:
    """What happened; None for what asks nothing of us."""
    reader = _READERS.get(frame.kind)
    return reader(frame) if reader else None


def batch_of(events: Iterable[Event | None]) -> Batch:
    """What was heard, sorted for the road in; the cursor is its caller's."""
    heard: list[Heard] = []
    consents: list[Consent] = []
    audits: list[Audit] = []
    unreadable = 0
    for event in events:
        match event:
            case Heard():
                heard.append(event)
            case Interaction(heard=Heard() as said):
                heard.append(said)
            case Consent():
                consents.append(event)
            case Audit():
                audits.append(event)
            case Unreadable():
                unreadable += 1
    return Batch(tuple(heard), unreadable=unreadable, consents=tuple(consents), audits=tuple(audits))


# messages


def _c2c(frame: Frame) -> Event | None:
    author = frame.body.child("author") or Fields({})
    sender = author.text("user_openid") or author.text("id")
    return _message(frame.body, Scope.C2C, sender, sender, author, frame.body.text("content"))


def _group_mention(frame: Frame) -> Event | None:
    return _group(frame.body, addressed=True)


def _group_message(frame: Frame) -> Event | None:
    mentions = frame.body.children("mentions") or ()
    mine = [each for each in mentions if each and each.flag("is_you") and each.text("scope") != "all"]
    names = {each.text(name) for each in mine for name in ("id", "member_openid")}
    return _group(frame.body, bool(mine), names - {""})


def _group(body: Fields, addressed: bool, names: set[str] | None = None) -> Event | None:
    author = body.child("author") or Fields({})
    group = body.text("group_openid") or body.text("group_id")
    sender = author.text("member_openid") or author.text("id")
    text = _without_leading_mention(body.text("content"), names or set())
    return _message(body, Scope.GROUP, group, sender, author, text, addressed)


def _guild_mention(frame: Frame) -> Event | None:
    body = frame.body
    bots = {each.text("id") for each in body.children("mentions") or () if each and each.flag("bot")}
    return _guild(body, Scope.CHANNEL, body.text("channel_id"), bots)


def _guild_direct(frame: Frame) -> Event | None:
    return _guild(frame.body, Scope.DM, frame.body.text("guild_id"), set())


def _guild(body: Fields, scope: Scope, name: str, bots: set[str]) -> Event | None:
    author = body.child("author") or Fields({})
    text = html.unescape(_without_leading_mention(body.text("content"), bots))
    return _message(body, scope, name, author.text("id"), author, text)


def _message(
    body: Fields, scope: Scope, name: str, sender: str, author: Fields, text: str, addressed: bool = True
) -> Event | None:
    """None for what bots say: answering one another they would never end."""
    if author.flag("bot"):
        return None
    chat, message_id = chat_id(scope, name), _identifier(body)
    if chat is None or not message_id or not 0 < len(sender) <= _NAME_MAX:
        return Unreadable()
    return Heard(
        chat=chat,
        chat_kind=_KINDS[scope],
        platform_message_id=message_id,
        sender_id=sender,
        sender_name=_name_of(author, body),
        text=text.strip(),
        quoted_text=_quoted(body),
        items=_items(body),
        sent_at_ms=moment_ms(body),
        token=message_id if addressed else "",
        quoted_id=_quoted_id(body),
        addressed=addressed,
        sure_id=True,
    )


_KINDS = {Scope.C2C: "direct", Scope.GROUP: "group", Scope.CHANNEL: "channel", Scope.DM: "direct"}


def _identifier(body: Fields) -> str:
    found = body.text("id").strip()
    return found if found.isprintable() and len(found) <= _ID_MAX else ""


def _name_of(author: Fields, body: Fields) -> str:
    member = body.child("member") or Fields({})
    return (member.text("nick") or author.text("username")).strip()[:_NAME_MAX]


def _without_leading_mention(text: str, names: set[str]) -> str:
    """The text without the words that only say whom it is for. Documents say that they are gone; they are not."""
    text = text.lstrip()
    found = _MENTION.match(text)
    return text[found.end() :] if found and found[1] in names else text


def _items(body: Fields) -> tuple[Item, ...]:
    attachments = [each for each in body.children("attachments") or () if each is not None]
    return tuple(_item(each) for each in attachments[:_ITEMS_MAX])


def _item(attachment: Fields) -> Item:
    size = attachment.integer("size")
    return Item(
        kind=_kind(attachment.text("content_type")),
        name=attachment.text("filename")[:_NAME_MAX] or None,
        size=size if size is not None and 0 < size < 2**53 else None,
    )


def _kind(content_type: str) -> str:
    """Our word for `image/png`, `video/mp4`, `voice`, `file`."""
    kind = content_type.partition("/")[0].lower()
    return (
        {"audio": "voice"}.get(kind, kind) if kind in ("image", "video", "voice", "audio", "file") else "file"
    )


def _quoted(body: Fields) -> str:
    """The text of the message that is answered, which QQ sends along.

    Source: the wiki, `message_type` 103: `msg_elements` hold it, and `message_scene.ext` says which of them it is.
    """
    elements = [each for each in (body.children("msg_elements") or ())[:_QUOTES_MAX] if each is not None]
    wanted = _scene(body).get("ref_msg_idx", "")
    chosen = [each for each in elements if wanted and each.text("msg_idx") == wanted] or elements
    return "\n".join(text for each in chosen if (text := each.text("content").strip()))


def _quoted_id(body: Fields) -> str | None:
    reference = body.child("message_reference")
    found = reference.text("message_id").strip() if reference else ""
    return found if found and len(found) <= _ID_MAX else None


def _scene(body: Fields) -> dict[str, str]:
    scene = body.child("message_scene") or Fields({})
    pairs = (each.partition("=") for each in scene.texts("ext")[:_QUOTES_MAX])
    return {name: value for name, equals, value in pairs if equals}


def moment_ms(body: Fields) -> int:
    """When it was said: RFC 3339 in messages, seconds in events about people; 0 where nothing believable stands."""
    seconds = body.integer("timestamp")
    if seconds is not None:
        return seconds * 1_000 if 0 < seconds * 1_000 <= _LATEST_MS else 0
    try:
        moment = datetime.fromisoformat(body.text("timestamp"))
        told_ms = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return 0
    return told_ms if 0 < told_ms <= _LATEST_MS else 0


# what happens beside messages


def _interaction(frame: Frame) -> Event | None:
    body = frame.body
    interaction_id = _identifier(body)
    if not interaction_id:
        return Unreadable()
    data = body.child("data") or Fields({})
    said = (data.child("resolved") or Fields({})).text("button_data").strip()
    return Interaction(interaction_id, _pressed(frame, interaction_id, said) if said else None)


def _pressed(frame: Frame, interaction_id: str, said: str) -> Heard | None:
    """A button that carries words is heard as if they had been written; the event's id permits the answer."""
    body = frame.body
    user, group, member = (body.text(name) for name in ("user_openid", "group_openid", "group_member_openid"))
    channel = body.text("channel_id")
    resolved = (body.child("data") or Fields({})).child("resolved") or Fields({})
    if group:
        chat, sender = chat_id(Scope.GROUP, group), member
    elif user:
        chat, sender = chat_id(Scope.C2C, user), user
    else:
        chat, sender = chat_id(Scope.CHANNEL, channel), resolved.text("user_id")
    if chat is None or not sender:
        return None
    return Heard(
        chat=chat,
        chat_kind="group" if group else "direct" if user else "channel",
        platform_message_id=interaction_id,
        sender_id=sender[:_NAME_MAX],
        sender_name="",
        text=said,
        quoted_text="",
        items=(),
        sent_at_ms=moment_ms(body),
        token=f"{EVENT_TOKEN}{frame.id}" if frame.id else "",
        sure_id=True,
    )


def _consent(scope: Scope, name: str, granted: bool | None) -> Callable[[Frame], Event | None]:
    """A chat's switch for messages that nobody asked for. None: a chat that begins anew, of which nothing is known."""

    def read(frame: Frame) -> Event | None:
        chat = chat_id(scope, frame.body.text(name))
        return Consent(chat, _KINDS[scope], granted, moment_ms(frame.body)) if chat else None

    return read


def _audit(passed: bool) -> Callable[[Frame], Event | None]:
    def read(frame: Frame) -> Event | None:
        audit_id = frame.body.text("audit_id").strip()[:_ID_MAX]
        receipt = frame.body.text("message_id").strip()[:_ID_MAX]
        return Audit(audit_id, passed, receipt) if audit_id else None

    return read


_READERS: dict[str, Callable[[Frame], Event | None]] = {
    "C2C_MESSAGE_CREATE": _c2c,
    "GROUP_AT_MESSAGE_CREATE": _group_mention,
    "GROUP_MESSAGE_CREATE": _group_message,
    "AT_MESSAGE_CREATE": _guild_mention,
    "DIRECT_MESSAGE_CREATE": _guild_direct,
    "INTERACTION_CREATE": _interaction,
    "FRIEND_ADD": _consent(Scope.C2C, "openid", None),
    "FRIEND_DEL": _consent(Scope.C2C, "openid", False),
    "C2C_MSG_REJECT": _consent(Scope.C2C, "openid", False),
    "C2C_MSG_RECEIVE": _consent(Scope.C2C, "openid", True),
    "GROUP_ADD_ROBOT": _consent(Scope.GROUP, "group_openid", None),
    "GROUP_DEL_ROBOT": _consent(Scope.GROUP, "group_openid", False),
    "GROUP_MSG_REJECT": _consent(Scope.GROUP, "group_openid", False),
    "GROUP_MSG_RECEIVE": _consent(Scope.GROUP, "group_openid", True),
    "MESSAGE_AUDIT_PASS": _audit(True),
    "MESSAGE_AUDIT_REJECT": _audit(False),
}
"""Everything else, known or not, asks nothing of us and is passed over."""
