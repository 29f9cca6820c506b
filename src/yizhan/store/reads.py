"""The reads, each in one transaction that sees one moment. Plain blocking functions over a connection; the
store runs them in a reader's thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Dialect

from yizhan.core.allowance import Ledger
from yizhan.errors import InvalidRequest, UnknownAccount, UnknownMessage, UnknownTurn
from yizhan.model import (
    Account,
    AccountId,
    ApiKey,
    Chat,
    ChatId,
    ChatSession,
    Event,
    Inbound,
    InboundId,
    Message,
    MessageId,
    MessageState,
    Post,
    ReplyToken,
    SenderRule,
    Target,
    Turn,
    TurnId,
    WaitingFor,
    Webhook,
    output_key,
)
from yizhan.ports import Counts, LaneView, MessageFilter, Page, Said, Tally, TimelineRow, TurnFilter
from yizhan.store import rows
from yizhan.store import tables as t
from yizhan.store.messages import messages_of
from yizhan.store.pages import cursor_of, place_of
from yizhan.store.queries import by_key, lanes, people, road_in, road_out, windows
from yizhan.store.queries.webhooks import all_webhooks, posts_page
from yizhan.store.rows import Row
from yizhan.store.secrets import Seal
from yizhan.store.statement import Statement
from yizhan.store.statements import BatchStatements

PAGE_MAX = 1000


def bounded(limit: int) -> int:
    if limit < 1:
        raise InvalidRequest("A page needs room for at least one row.", "Ask for a limit of 1 or more.")
    return min(limit, PAGE_MAX)


class LaneReader:
    """Reads lanes, the one read that every message causes; its statements are compiled once."""

    def __init__(self, dialect: Dialect, seal: Seal) -> None:
        self._seal = seal
        self._chat = Statement(lanes.CHAT, dialect)
        self._messages = Statement(lanes.MESSAGES, dialect)
        self._later = Statement(lanes.LATER, dialect)
        self._entries = Statement(lanes.ENTRIES, dialect)
        self._tokens = Statement(lanes.TOKENS, dialect)
        self._ledger = Statement(lanes.LEDGER, dialect)

    def lanes(
        self, connection: Connection, targets: Sequence[Target], per_lane: int, now_ms: int
    ) -> tuple[LaneView, ...]:
        """One view for each target; of a chat nobody has seen, an empty one."""
        return tuple(self._lane(connection, target, per_lane, now_ms) for target in targets)

    def _lane(self, connection: Connection, target: Target, per_lane: int, now_ms: int) -> LaneView:
        key = {"account": target.account, "chat": target.chat}
        timed = key | {"now_ms": now_ms}
        found = list(self._messages.read(connection, timed | {"limit": per_lane + 1}))
        if len(found) <= per_lane:
            found += self._later.read(connection, timed | {"limit": per_lane + 1 - len(found)})
        messages = tuple(self._message(connection, row) for row in found[:per_lane])
        chat, newest = self._chat_of(connection, target), key | {"limit": 1}
        token, ledger = self._token(connection, newest), self._ledger_of(connection, newest)
        return LaneView(chat, messages, len(found) > per_lane, token, ledger)

    def _chat_of(self, connection: Connection, target: Target) -> Chat:
        found = self._chat.read(connection, {"account": target.account, "chat": target.chat})
        if not found:
            return Chat(target.account, target.chat, kind="", title="", created_at_ms=0)
        return rows.chat_of(found[0]).chat

    def _message(self, connection: Connection, row: Row) -> Message:
        key = {"account": row[0], "message_id": rows.message_id_of(row)}
        entries = tuple(rows.entry_of(part) for part in self._entries.read(connection, key))
        return rows.message_of(row, entries).message

    def _token(self, connection: Connection, newest: dict[str, Any]) -> ReplyToken | None:
        found = self._tokens.read(connection, newest)
        return rows.usable_token([rows.token_of(row, self._seal) for row in found])

    def _ledger_of(self, connection: Connection, newest: dict[str, Any]) -> Ledger | None:
        found = self._ledger.read(connection, newest)
        return rows.ledger_of(found[0])[1] if found else None


def accounts(connection: Connection, seal: Seal) -> tuple[Account, ...]:
    return tuple(rows.account_of(row, seal) for row in connection.execute(people.all_accounts()))


def account(connection: Connection, seal: Seal, account_id: AccountId) -> Account:
    """Raises UnknownAccount."""
    row = connection.execute(by_key.accounts_by_id([account_id])).first()
    if row is None:
        raise UnknownAccount(
            f"There is no account {account_id}.", "See the accounts with `yizhan account list`."
        )
    return rows.account_of(row, seal)


def chats(
    connection: Connection, account_id: AccountId | None, after: str | None, limit: int, containing: str
) -> Page[Chat]:
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[int, str, str])
    found = connection.execute(windows.chats_page(account_id, place, limit + 1, containing)).all()
    listed = [rows.chat_of(row).chat for row in found[:limit]]
    following = None
    if len(found) > limit:
        following = cursor_of((rows.activity_of(listed[-1]), listed[-1].account, listed[-1].id))
    return Page(tuple(listed), following)


def chat(connection: Connection, target: Target) -> Chat | None:
    row = connection.execute(by_key.chats_by_key([(target.account, target.chat)])).first()
    return None if row is None else rows.chat_of(row).chat


def ledgers(connection: Connection, targets: Sequence[Target]) -> dict[Target, Ledger]:
    keys = [(target.account, target.chat) for target in targets]
    return dict(rows.ledger_of(row) for row in connection.execute(by_key.ledgers_of(keys)))


def parts_left(connection: Connection, target: Target, now_ms: int) -> int:
    found = connection.scalar(road_out.parts_left(target.account, target.chat, now_ms))
    return int(found or 0)


def live_chats(connection: Connection) -> tuple[Target, ...]:
    found = connection.execute(road_out.chats_with_live_messages())
    return tuple(Target(AccountId(account_id), ChatId(chat_id)) for account_id, chat_id in found)


def paused_chats(connection: Connection) -> tuple[Target, ...]:
    found = connection.execute(road_out.paused_chats())
    return tuple(Target(AccountId(account_id), ChatId(chat_id)) for account_id, chat_id in found)


def message(
    connection: Connection, sql: BatchStatements, message_id: MessageId, with_attempts: bool
) -> Message:
    """Raises UnknownMessage."""
    found = connection.execute(by_key.messages_by_id([message_id])).all()
    if not found:
        raise UnknownMessage(f"There is no message {message_id}.", "See `yizhan outbox list`.")
    return messages_of(connection, sql, found, {message_id} if with_attempts else set())[0].message


def messages(
    connection: Connection, sql: BatchStatements, where: MessageFilter, after: str | None, limit: int
) -> Page[Message]:
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[str])[0]
    found = connection.execute(windows.messages_page(where, place, limit + 1)).all()
    listed = _with_attempts(connection, sql, found[:limit])
    return Page(listed, cursor_of((listed[-1].id,)) if len(found) > limit else None)


def _with_attempts(connection: Connection, sql: BatchStatements, found: Sequence[Row]) -> tuple[Message, ...]:
    ids = {rows.message_id_of(row) for row in found}
    return tuple(kept.message for kept in messages_of(connection, sql, found, ids))


def timeline(
    connection: Connection,
    sql: BatchStatements,
    target: Target,
    before: str | None,
    limit: int,
    containing: str,
) -> Page[TimelineRow]:
    limit = bounded(limit)
    place = None if before is None else place_of(before, tuple[int])[0]

    def part(table: Any) -> Sequence[Row]:
        if containing and table not in windows.SPOKEN:
            return ()
        query = windows.timeline_part(table, target.account, target.chat, place, limit + 1, containing)
        return connection.execute(query).all()

    heard: list[tuple[int, TimelineRow]] = [
        (kept.seq, kept.inbound) for kept in map(rows.inbound_of, part(t.inbound))
    ]
    repeats: list[tuple[int, TimelineRow]] = [
        (kept.seq, kept.suppressed) for kept in map(rows.suppressed_of, part(t.suppressed))
    ]
    turns: list[tuple[int, TimelineRow]] = [(kept.seq, kept.turn) for kept in map(rows.turn_of, part(t.turn))]
    sent: list[tuple[int, TimelineRow]] = [
        (message.seq, message) for message in _with_attempts(connection, sql, part(t.message))
    ]
    ordered = sorted([*heard, *repeats, *turns, *sent], key=lambda row: row[0], reverse=True)
    listed = ordered[:limit]
    return Page(
        tuple(row for _, row in listed), cursor_of((listed[-1][0],)) if len(ordered) > limit else None
    )


_UNSEEN = frozenset({"failed", "expired", "cancelled", "waiting"})
"""States of a message of which the chat has not seen everything, and perhaps never will."""


def history(connection: Connection, session: ChatSession, limit: int) -> tuple[Said, ...]:
    heard = connection.execute(road_in.heard_lines(session, limit))
    said = connection.execute(road_in.said_lines(session, limit))
    newest_first = merge(
        ((seq, Said("user", text, at_ms, unheard=bool(unheard))) for seq, text, at_ms, unheard in heard),
        (
            (seq, Said("assistant", text, at_ms, state in _UNSEEN, turn_id is None and answered is None))
            for seq, text, at_ms, state, turn_id, answered in said
        ),
        key=lambda line: line[0],
        reverse=True,
    )
    return tuple(line for _, line in reversed(list(islice(newest_first, limit))))


def pending_inbound(connection: Connection) -> tuple[Inbound, ...]:
    return tuple(rows.inbound_of(row).inbound for row in connection.execute(road_in.pending_inbound()))


def open_turns(connection: Connection) -> tuple[Turn, ...]:
    return tuple(rows.turn_of(row).turn for row in connection.execute(road_in.open_turns()))


def turn(connection: Connection, turn_id: TurnId) -> Turn:
    """Raises UnknownTurn."""
    row = connection.execute(by_key.turns_by_id([turn_id])).first()
    if row is None:
        raise UnknownTurn(f"There is no turn {turn_id}.", "See the turns with `yizhan turn list`.")
    return rows.turn_of(row).turn


def spoken(connection: Connection, turn: Turn) -> tuple[str, ...]:
    """By the keys of its outputs, of which it has so many."""
    keys = [(turn.account, output_key(turn.id, ordinal)) for ordinal in range(turn.outputs)]
    found = connection.execute(by_key.messages_by_key(keys)) if keys else ()
    return tuple(row.text for row in sorted(found, key=lambda row: int(row.ordinal or 0)))


def turns(connection: Connection, where: TurnFilter, after: str | None, limit: int) -> Page[Turn]:
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[str])[0]
    found = connection.execute(windows.turns_page(where, place, limit + 1)).all()
    listed = tuple(rows.turn_of(row).turn for row in found[:limit])
    return Page(listed, cursor_of((listed[-1].id,)) if len(found) > limit else None)


def inbound(connection: Connection, ids: Sequence[InboundId]) -> tuple[Inbound, ...]:
    """Those that exist, in the order in which they were asked for."""
    if not ids:
        return ()
    found = {row.id: rows.inbound_of(row).inbound for row in connection.execute(by_key.inbound_by_id(ids))}
    return tuple(found[inbound_id] for inbound_id in ids if inbound_id in found)


def quoted(connection: Connection, account: AccountId, platform_id: str) -> str | None:
    """What the platform calls by this id, theirs or ours."""
    theirs = connection.scalar(road_in.text_with_platform_id(account, platform_id))
    if theirs is not None:
        return str(theirs)
    ours = connection.scalar(road_out.text_with_receipt(account, platform_id))
    return None if ours is None else str(ours)


def rules(connection: Connection, account_id: AccountId | None) -> tuple[SenderRule, ...]:
    return tuple(rows.rule_of(row) for row in connection.execute(people.rules_of(account_id)))


def chosen_agents(connection: Connection) -> dict[Target, str]:
    found = connection.execute(people.chosen_agents())
    return {Target(AccountId(account_id), ChatId(chat_id)): name for account_id, chat_id, name in found}


def asked_since(connection: Connection, at_ms: int) -> tuple[tuple[AccountId, str, int], ...]:
    found = connection.execute(road_in.asked_since(at_ms))
    return tuple((AccountId(account_id), sender, heard_ms) for account_id, sender, heard_ms in found)


def sender(connection: Connection, account_id: AccountId, sender_id: str) -> SenderRule | None:
    row = connection.execute(by_key.rules_by_key([(account_id, sender_id)])).first()
    return None if row is None else rows.rule_of(row)


def keys(connection: Connection) -> tuple[ApiKey, ...]:
    return tuple(rows.key_of(row) for row in connection.execute(people.all_keys()))


def posts(
    connection: Connection, webhook: str, failed_only: bool, after: str | None, limit: int
) -> Page[Post]:
    limit = bounded(limit)
    place = None if after is None else place_of(after, tuple[int, int])
    found = connection.execute(posts_page(webhook, failed_only, place, limit + 1)).all()
    listed = tuple(rows.post_of(row) for row in found[:limit])
    more = len(found) > limit
    return Page(listed, cursor_of((listed[-1].at_ms, listed[-1].event)) if more else None)


def webhooks(connection: Connection, seal: Seal) -> tuple[Webhook, ...]:
    return tuple(rows.webhook_of(row, seal) for row in connection.execute(all_webhooks()))


def events_after(connection: Connection, after_id: int, limit: int) -> tuple[Event, ...]:
    return tuple(rows.event_of(row) for row in connection.execute(windows.events_after(after_id, limit)))


def event_range(connection: Connection) -> tuple[int, int]:
    newest = connection.scalar(windows.newest_event()) or 0
    oldest = connection.scalar(windows.oldest_event())
    if oldest is not None:
        return oldest, newest
    return (newest + 1, newest) if newest else (0, 0)


def counts(connection: Connection) -> Counts:
    by_account_state: Counter[tuple[AccountId, MessageState]] = Counter()
    waits_for: dict[AccountId, Counter[WaitingFor]] = {}
    oldest: dict[AccountId, tuple[int, MessageId]] = {}
    for account_id, state, waits, count, since_ms, message_id in connection.execute(windows.live_counts()):
        by_account_state[account_id, MessageState(state)] += count
        if waits is not None:
            waits_for.setdefault(account_id, Counter())[WaitingFor(waits)] += count
        oldest[account_id] = min((since_ms, message_id), oldest.get(account_id, (since_ms, message_id)))
    return Counts(
        by_account_state,
        {account_id: since_ms for account_id, (since_ms, _) in oldest.items()},
        connection.scalar(windows.open_turn_count()) or 0,
        {account_id: message_id for account_id, (_, message_id) in oldest.items()},
        waits_for,
    )


def tallies(connection: Connection, since_ms: int, step_ms: int) -> tuple[Tally, ...]:
    steps: dict[int, dict[MessageState, int]] = {}
    for step, state, count in connection.execute(windows.states_by_time(since_ms, step_ms)):
        steps.setdefault(step, {})[MessageState(state)] = count
    return tuple(Tally(since_ms + step * step_ms, steps[step]) for step in sorted(steps))
