"""What a batch of writes has to tell: collected while its operations change things, numbered when it is written."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from sqlalchemy import Connection

from yizhan.core import contract
from yizhan.core.contract import JsonObject
from yizhan.model import Account, AccountId, Alert, Chat, ChatId, Event, Inbound, Message, Run, Schedule, Turn
from yizhan.store import rows
from yizhan.store.statements import BatchStatements
from yizhan.store.told import told

_encode = msgspec.json.Encoder().encode


class News:
    """Events without their ids, in the order in which they happened."""

    def __init__(self) -> None:
        self._events: list[tuple[int, str, AccountId | None, ChatId | None, bytes]] = []

    def account_state(self, account: Account, at_ms: int) -> None:
        self._add(at_ms, "account.state", account.id, None, contract.account_state_event(account, at_ms))

    def chat_state(self, chat: Chat, at_ms: int) -> None:
        self._add(at_ms, "chat.state", chat.account, chat.id, contract.chat_state_event(chat, at_ms))

    def alert(self, alert: Alert, at_ms: int) -> None:
        self._add(at_ms, "alert", alert.account, alert.chat, contract.alert_event(alert, at_ms))

    def schedule_run(self, run: Run, schedule: Schedule) -> None:
        self._add(run.at_ms, "schedule.run", None, None, contract.schedule_run_event(run, schedule))

    def message_state(self, message: Message, at_ms: int) -> None:
        shape = contract.message_state_event(message, at_ms)
        self._add(at_ms, "message.state", message.account, message.chat, shape)

    def message_received(self, inbound: Inbound, at_ms: int) -> None:
        shape = contract.message_received_event(inbound, at_ms)
        self._add(at_ms, "message.received", inbound.account, inbound.chat, shape)

    def turn_state(self, turn: Turn, at_ms: int) -> None:
        shape = contract.turn_state_event(replace(turn, reason=told(turn.reason)), at_ms)
        self._add(at_ms, "turn.state", turn.account, turn.chat, shape)

    def _add(
        self, at_ms: int, kind: str, account: AccountId | None, chat: ChatId | None, shape: JsonObject
    ) -> None:
        self._events.append((at_ms, kind, account, chat, _encode(shape)))

    def write(self, connection: Connection, sql: BatchStatements) -> list[Event]:
        """Appends them and answers them with their ids, in order."""
        count = len(self._events)
        if not count:
            return []
        last: int = sql.take_event_ids.read(connection, {"count": count})[0][0]
        events = [Event(place, *event) for place, event in enumerate(self._events, last - count + 1)]
        sql.insert_event.write(connection, [rows.event_values(event) for event in events])
        return events
