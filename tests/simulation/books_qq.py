"""What QQ saw, in the words of the books: the checker's rules are the same for both platforms.

Sends to chats and groups become `sendmessage`, and belong to the part with the same words: QQ has no client id. What
somebody said is `say`, if a session of the bot was there to be told; without one the platform keeps nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from yizhan.model import AccountId, ChatId, Entry, Message, Target
from yizhan_simulator import World
from yizhan_simulator.ledger import Effect, Record

PLATFORM = "qq:"
_SENDS = {f"qq.send.{scene}": scene for scene in ("c2c", "group", "channel", "dm")}
Words = tuple[str, str, str]
"""(bot, chat, text)"""


def qq_targets(world: World) -> list[Target]:
    """Every chat of every bot."""
    index = world.qq.state.register.index
    return [
        Target(AccountId(f"{PLATFORM}{app_id}"), ChatId(f"{scene.value}/{openid}"))
        for app_id, scene, openid in index
    ]


def qq_records(world: World, messages: Iterable[Message]) -> Iterator[Record]:
    """The ledger's records of QQ, translated where the books have a word for them."""
    parts = _by_words(messages)
    untold = _untold(world)
    for record in world.ledger:
        if record.call in _SENDS:
            yield _send(record, parts)
        elif record.call == "qq.say":
            if record.receipt not in untold:
                yield from _said(world, record)
        elif record.call.startswith("qq."):
            yield record


def repeats_from_ms(world: World) -> dict[str, int]:
    """Bot → since when nothing that was said can have been lost with a session: since the last one began."""
    began = dict.fromkeys(world.qq.state.register.bots, 0)
    for record in world.ledger:
        if record.call == "qq.identify" and record.effect is not Effect.REFUSED and record.bot_id:
            began[record.bot_id] = record.at_ms
    return began


def _untold(world: World) -> set[str]:
    """Messages that were told to no session."""
    told: set[str] = set()
    untold: set[str] = set()
    for record in world.ledger:
        if record.call == "qq.dispatch":
            (untold if record.rule == "no session" else told).add(record.receipt)
    return untold - told


def _by_words(messages: Iterable[Message]) -> dict[Words, list[Entry]]:
    parts: dict[Words, list[Entry]] = defaultdict(list)
    for message in messages:
        if message.account.startswith(PLATFORM):
            bot = message.account.removeprefix(PLATFORM)
            for entry in message.entries:
                parts[bot, message.chat, entry.text].append(entry)
    return parts


def _send(record: Record, parts: dict[Words, list[Entry]]) -> Record:
    chat = f"{_SENDS[record.call]}/{record.user_id}"
    owners = parts.get((record.bot_id, chat, record.text), [])
    receipted = [entry for entry in owners if record.receipt and entry.receipt == record.receipt]
    owner = max(receipted or owners, key=lambda entry: _last_ms(entry, record.at_ms), default=None)
    client_id = owner.client_id if owner else ""
    return replace(record, call="sendmessage", user_id=chat, client_id=client_id)


def _last_ms(entry: Entry, by_ms: int) -> int:
    """When the last attempt before a moment began: by this the part is found whose request it was, where several have
    the same words and none has the receipt."""
    return max((attempt.at_ms for attempt in entry.attempts if attempt.at_ms <= by_ms), default=0)


def _said(world: World, record: Record) -> Iterator[Record]:
    room = world.qq.state.register.rooms[record.detail]
    for app_id, seat in room.seats.items():
        yield replace(record, call="say", bot_id=app_id, user_id=f"{room.scene.value}/{seat.openid}")
