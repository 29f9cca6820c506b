"""The writes of the road in: what was heard, and the turns that answer it.

The same message twice is recognised by the platform's id; or, if either has none or the ids differ, by equal
chat, sender, time of the platform and content, all of them. Somebody who says "yes" twice is heard twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import msgspec
from sqlalchemy import Connection

from yizhan.core import unasked
from yizhan.core.access import ROOMS
from yizhan.core.allowance import opened
from yizhan.core.sessions import over
from yizhan.errors import InvalidRequest
from yizhan.model import (
    Access,
    AccountId,
    Chat,
    ChatSession,
    Dispatch,
    Inbound,
    InboundId,
    MessageClass,
    ReplyToken,
    Rule,
    SenderRule,
    Suppressed,
    Target,
    Turn,
    TurnId,
    TurnState,
)
from yizhan.ports import (
    Accepted,
    Arrival,
    Consent,
    Draft,
    Heard,
    InboundCommit,
    InboundCommitted,
    TurnEnd,
    TurnOpened,
    TurnStart,
)
from yizhan.store.queries import by_key, road_in
from yizhan.store.rows import KeptInbound, KeptTurn, inbound_of, kept_token
from yizhan.store.secrets import token_hash
from yizhan.store.working_set import Wants, WorkingSet
from yizhan.store.writes_out import accept_draft, check_draft, existing_message, want_draft

BY_PLATFORM_ID = "platform_id"
BY_CONTENT = "sender_time_content"
HONOURED_MS = 3_600_000
"""So long may an inbound message permit answers after newer ones have come. Source: QQ, C2C: 60 minutes."""


def clean(text: str) -> str:
    """Without what no database holds (NUL, lone surrogates): a poller must not stumble over it for ever."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    return text.encode("utf-8", "replace").decode()


def content_hash(heard: Heard) -> str:
    """What the other side wrote, whatever the token that came along."""
    items = [(item.kind, item.name, item.size) for item in heard.items]
    return hashlib.sha256(msgspec.json.encode((heard.text, heard.quoted_text, items))).hexdigest()


def _cleaned(heard: Heard) -> Heard:
    items = tuple(replace(item, name=item.name and clean(item.name)) for item in heard.items)
    return replace(
        heard,
        text=clean(heard.text),
        quoted_text=clean(heard.quoted_text),
        sender_name=clean(heard.sender_name),
        items=items,
    )


@dataclass(frozen=True, slots=True)
class CommitInbound:
    """A poll's reply. Submitted again after a lost commit, it answers the same and changes nothing."""

    label: ClassVar[str] = "commit_inbound"
    alone: ClassVar[bool] = False
    commit: InboundCommit

    def wants(self, wants: Wants) -> None:
        account = self.commit.account
        wants.accounts.add(account)
        for arrival in self.commit.arrivals:
            heard = arrival.heard
            wants.inbound.add(arrival.id)
            wants.chats.add(Target(account, heard.chat))
            if heard.platform_message_id is not None:
                wants.platform_ids.add((account, heard.platform_message_id))
            if heard.sent_at_ms > 0 and not heard.sure_id:
                wants.moments.add((account, heard.sender_id, heard.sent_at_ms))
            if heard.token:
                wants.tokens.add(Target(account, heard.chat))
            if arrival.access is not Access.ALLOWED:
                wants.rules.add((account, heard.sender_id))

    def apply(self, rows: WorkingSet) -> InboundCommitted:
        account = rows.account(self.commit.account)
        new: list[Inbound] = []
        suppressed: list[Suppressed] = []
        tokens: dict[Target, ReplyToken] = {}
        for arrival in self.commit.arrivals:
            arrival = replace(arrival, heard=_cleaned(arrival.heard))
            outcome = _receive(account.id, arrival, rows)
            if isinstance(outcome, Inbound):
                new.append(outcome)
            else:
                suppressed.append(outcome)
            target = Target(account.id, arrival.heard.chat)
            if arrival.heard.token and rows.tokens[target]:
                tokens[target] = rows.tokens[target][0].token
        if self.commit.cursor is not None and self.commit.cursor != account.cursor:
            rows.put_account(replace(rows.account(account.id), cursor=self.commit.cursor))
        return InboundCommitted(tuple(new), tuple(suppressed), tuple(tokens.values()))


def _receive(account: AccountId, arrival: Arrival, rows: WorkingSet) -> Inbound | Suppressed:
    known = rows.inbound.get(arrival.id)
    if known is not None:
        return known.inbound
    content = content_hash(arrival.heard)
    repeat = _same_as(account, arrival.heard, content, rows)
    if repeat is not None:
        return _suppress(account, arrival, *repeat, rows)
    return _store(account, arrival, content, rows)


def _same_as(
    account: AccountId, heard: Heard, content: str, rows: WorkingSet
) -> tuple[InboundId, str] | None:
    """The message this one repeats, and the rule that says so."""
    if heard.platform_message_id is not None:
        original = rows.by_platform_id.get((account, heard.platform_message_id))
        if original is not None:
            return original, BY_PLATFORM_ID
    if heard.sure_id:
        return None
    for candidate in rows.by_moment.get((account, heard.sender_id, heard.sent_at_ms), ()):
        kept = rows.inbound[candidate]
        if kept.inbound.chat == heard.chat and kept.content_sha256 == content:
            return candidate, BY_CONTENT
    return None


def heard_before(connection: Connection, account: AccountId, heard: Heard) -> bool:
    """Whether it repeats a stored message, as a commit would find."""
    heard, name = _cleaned(heard), heard.platform_message_id
    if name and connection.execute(by_key.inbound_by_platform_id([(account, name)])).first() is not None:
        return True
    if heard.sure_id or heard.sent_at_ms <= 0:
        return False
    content, moment = content_hash(heard), (account, heard.sender_id, heard.sent_at_ms)
    found = [inbound_of(row) for row in connection.execute(by_key.inbound_of_moments([moment]))]
    return any(kept.inbound.chat == heard.chat and kept.content_sha256 == content for kept in found)


def _suppress(
    account: AccountId, arrival: Arrival, original: InboundId, rule: str, rows: WorkingSet
) -> Suppressed:
    heard = arrival.heard
    target = Target(account, heard.chat)
    rows.chat_for(target, arrival.received_at_ms)
    seq = rows.next_seq(target)
    suppressed = Suppressed(
        account, heard.chat, original, heard.platform_message_id, arrival.received_at_ms, rule
    )
    rows.add_suppressed(suppressed, seq)
    if heard.token and all(kept.sha256 != token_hash(heard.token) for kept in rows.tokens[target]):
        rows.add_token(kept_token(_token(account, arrival, original), seq))
    return suppressed


def _store(account: AccountId, arrival: Arrival, content: str, rows: WorkingSet) -> Inbound:
    heard = arrival.heard
    target = Target(account, heard.chat)
    _note_chat(target, arrival, rows)
    seq = rows.next_seq(target)
    inbound = Inbound(
        id=arrival.id,
        account=account,
        chat=heard.chat,
        platform_message_id=heard.platform_message_id,
        sender_id=heard.sender_id,
        sender_name=heard.sender_name,
        text=heard.text,
        quoted_text=heard.quoted_text,
        items=heard.items,
        sent_at_ms=heard.sent_at_ms,
        received_at_ms=arrival.received_at_ms,
        access=arrival.access,
        dispatch=_asked(arrival.dispatch, rows.chat_for(target, arrival.received_at_ms)),
        rule=arrival.rule,
    )
    rows.add_inbound(KeptInbound(inbound, seq, content), arrival.received_at_ms)
    if heard.token:
        rows.add_token(kept_token(_token(account, arrival, arrival.id), seq))
    if not heard.addressed:
        return inbound
    ledger = opened(arrival.id, arrival.received_at_ms, seq, None, False)
    rows.open_ledger(target, ledger, arrival.received_at_ms - HONOURED_MS)
    if arrival.access is not Access.ALLOWED:
        _note_refused(account, arrival, rows)
    return inbound


def _asked(dispatch: Dispatch, chat: Chat) -> Dispatch:
    """What a message asks of us: no turn where a person has taken the chat over."""
    by_person = dispatch is Dispatch.TURN and chat.taken_over_at_ms is not None
    return Dispatch.DONE if by_person else dispatch


def _note_chat(target: Target, arrival: Arrival, rows: WorkingSet) -> None:
    """A chat with one person is called by that person's name; a room with many is not called by who spoke first."""
    chat = rows.chat_for(target, arrival.received_at_ms)
    kind = chat.kind or arrival.heard.chat_kind
    name = arrival.heard.sender_name if kind not in ROOMS else ""
    rows.put_chat(
        replace(
            chat,
            kind=kind,
            title=chat.title or name,
            last_inbound_at_ms=max(arrival.received_at_ms, chat.last_inbound_at_ms or 0),
        )
    )


def _token(account: AccountId, arrival: Arrival, inbound_id: InboundId) -> ReplyToken:
    """Issued when the platform says it was, never later than we heard it."""
    heard = arrival.heard
    issued_at_ms = min(heard.sent_at_ms or arrival.received_at_ms, arrival.received_at_ms)
    return ReplyToken(account, heard.chat, inbound_id, heard.token, issued_at_ms)


def _note_refused(account: AccountId, arrival: Arrival, rows: WorkingSet) -> None:
    heard, at_ms = arrival.heard, arrival.received_at_ms
    known = rows.rules.get((account, heard.sender_id))
    if known is None:
        known = SenderRule(
            account=account,
            sender_id=heard.sender_id,
            sender_name=heard.sender_name,
            rule=Rule.PENDING,
            first_text=heard.text,
            first_seen_at_ms=at_ms,
            last_seen_at_ms=at_ms,
        )
    rows.put_rule(
        replace(
            known,
            sender_name=heard.sender_name or known.sender_name,
            first_text=known.first_text or heard.text,
            first_seen_at_ms=at_ms if known.first_seen_at_ms is None else known.first_seen_at_ms,
            last_seen_at_ms=max(known.last_seen_at_ms or 0, at_ms),
            refused=known.refused + 1,
            refused_by=arrival.rule,
            code=known.code or (arrival.code if known.rule is Rule.PENDING else ""),
        )
    )


@dataclass(frozen=True, slots=True)
class NoteConsent:
    """Whether a chat takes messages that nobody asked for. Told twice, it changes nothing."""

    label: ClassVar[str] = "note_consent"
    alone: ClassVar[bool] = False
    account: AccountId
    consent: Consent
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.accounts.add(self.account)
        wants.chats.add(Target(self.account, self.consent.chat))

    def apply(self, rows: WorkingSet) -> None:
        chat = rows.chat_for(Target(self.account, self.consent.chat), self.at_ms)
        told = unasked.switched(unasked.decode(chat.unasked), self.consent.granted)
        news = replace(chat, kind=chat.kind or self.consent.chat_kind, unasked=unasked.encode(told))
        if news != chat:
            rows.put_chat(news)


@dataclass(frozen=True, slots=True)
class DispatchDone:
    label: ClassVar[str] = "dispatch_done"
    alone: ClassVar[bool] = False
    ids: tuple[InboundId, ...]

    def wants(self, wants: Wants) -> None:
        wants.inbound.update(self.ids)

    def apply(self, rows: WorkingSet) -> None:
        ask_nothing(self.ids, rows)


def ask_nothing(ids: Sequence[InboundId], rows: WorkingSet) -> None:
    for inbound_id in ids:
        kept = rows.inbound.get(inbound_id)
        if kept is not None and kept.inbound.dispatch is not Dispatch.DONE:
            rows.change_inbound(replace(kept.inbound, dispatch=Dispatch.DONE))


@dataclass(frozen=True, slots=True)
class StartTurn:
    """Opens a turn, which claims its inbound messages. Opened again, it is answered as it is."""

    label: ClassVar[str] = "start_turn"
    alone: ClassVar[bool] = False
    start: TurnStart

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.start.id)
        wants.accounts.add(self.start.target.account)
        wants.chats.add(self.start.target)
        wants.inbound.update(self.start.inbound_ids)
        want_sessions(self.start.target, self.start.sender, wants)

    def apply(self, rows: WorkingSet) -> TurnOpened:
        start = self.start
        known = rows.turns.get(start.id)
        if known is not None:
            return _opened(known.turn, rows)
        rows.account(start.target.account)
        missing = [inbound_id for inbound_id in start.inbound_ids if inbound_id not in rows.inbound]
        if missing:
            raise InvalidRequest(
                f"Turn {start.id} names messages that were never received: {', '.join(missing)}."
            )
        must_be_the_agents(rows.chat_for(start.target, start.at_ms))
        session = self._session(rows)
        turn = Turn(
            id=start.id,
            account=start.target.account,
            chat=start.target.chat,
            agent=start.agent,
            state=TurnState.RUNNING if start.begins else TurnState.QUEUED,
            inbound_ids=start.inbound_ids,
            created_at_ms=start.at_ms,
            started_at_ms=start.at_ms if start.begins else None,
            person=session.person,
        )
        rows.put_turn(KeptTurn(turn, rows.next_seq(start.target)), start.at_ms)
        for inbound_id in start.inbound_ids:
            rows.change_inbound(replace(rows.inbound[inbound_id].inbound, turn_id=start.id))
        return _opened(turn, rows)

    def _session(self, rows: WorkingSet) -> ChatSession:
        """The one that the turn belongs to; a new one if the last is over."""
        start = self.start
        chat = rows.chat_for(start.target, start.at_ms)
        session = rows.session_for(start.target, person_of(chat, start.sender, start.sessions.by_person))
        if over(start.sessions, session.used_at_ms, start.asked_at_ms):
            session = replace(session, since_ms=session.used_at_ms + 1, agent_session="")
        session = replace(session, used_at_ms=start.at_ms)
        rows.put_session(session)
        return session


def must_be_the_agents(chat: Chat) -> None:
    """Raises InvalidRequest where a person has taken the chat over: the agent is asked nothing there."""
    if chat.taken_over_at_ms is not None:
        raise InvalidRequest("A person answers this chat.", "Hand it back to the agent first.")


def want_sessions(target: Target, sender: str, wants: Wants) -> None:
    """That of the chat, and that of the person: which of them counts, the kind of the chat tells."""
    wants.sessions.update((target.account, target.chat, person) for person in ("", sender))


def person_of(chat: Chat, sender: str, by_person: bool) -> str:
    """Whose session it is, empty: the whole chat's."""
    return sender if by_person and chat.kind in ROOMS else ""


def _opened(turn: Turn, rows: WorkingSet) -> TurnOpened:
    return TurnOpened(turn, rows.session_for(turn.target, turn.person))


@dataclass(frozen=True, slots=True)
class BeginTurn:
    """The agent is asked. After a crash it is asked once more, and the turn runs since its first begin."""

    label: ClassVar[str] = "begin_turn"
    alone: ClassVar[bool] = False
    turn: TurnId
    person: str
    target: Target
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.turn)
        want_sessions(self.target, self.person, wants)

    def apply(self, rows: WorkingSet) -> TurnOpened | None:
        kept = rows.turns.get(self.turn)
        if kept is None:
            raise InvalidRequest(f"There is no turn {self.turn} to begin.")
        if kept.turn.state is TurnState.QUEUED:
            begun = replace(kept.turn, state=TurnState.RUNNING, started_at_ms=self.at_ms)
            kept = kept._replace(turn=begun)
            rows.put_turn(kept, self.at_ms)
        return None if kept.turn.ended_at_ms is not None else _opened(kept.turn, rows)


@dataclass(frozen=True, slots=True)
class ExtendTurn:
    """An open turn claims further messages. Told twice, it claims them once."""

    label: ClassVar[str] = "extend_turn"
    alone: ClassVar[bool] = False
    turn: TurnId
    person: str
    target: Target
    ids: tuple[InboundId, ...]
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.turn)
        want_sessions(self.target, self.person, wants)
        wants.inbound.update(self.ids)

    def apply(self, rows: WorkingSet) -> TurnOpened | None:
        kept = rows.turns.get(self.turn)
        if kept is None or kept.turn.ended_at_ms is not None:
            return None
        turn = kept.turn
        news = tuple(name for name in self.ids if name in rows.inbound and name not in turn.inbound_ids)
        if news:
            turn = replace(turn, inbound_ids=turn.inbound_ids + news)
            rows.put_turn(kept._replace(turn=turn), self.at_ms)
        for inbound_id in news:
            rows.change_inbound(replace(rows.inbound[inbound_id].inbound, turn_id=turn.id))
        return _opened(turn, rows)


@dataclass(frozen=True, slots=True)
class Say:
    """An open turn says something before its end; its outputs are counted as they come."""

    label: ClassVar[str] = "say"
    alone: ClassVar[bool] = False
    turn: TurnId
    draft: Draft

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.turn)
        want_draft(self.draft, wants)

    def apply(self, rows: WorkingSet) -> Accepted | None:
        kept = rows.turns.get(self.turn)
        if kept is None or kept.turn.ended_at_ms is not None:
            return None
        accepted = accept_draft(self.draft, rows)
        if accepted.created and self.draft.ordinal is not None:
            spoken = replace(kept.turn, outputs=kept.turn.outputs + 1)
            rows.put_turn(kept._replace(turn=spoken), self.draft.created_at_ms)
        return accepted


@dataclass(frozen=True, slots=True)
class EndTurn:
    """Ends a turn with its outputs. One that has ended takes no more: it only looks up what it has."""

    label: ClassVar[str] = "end_turn"
    alone: ClassVar[bool] = False
    end: TurnEnd

    def wants(self, wants: Wants) -> None:
        wants.turns.add(self.end.id)
        wants.inbound_of_turns.add(self.end.id)
        if self.end.session is not None:
            wants.sessions.add(self.end.session.key)
        for draft in self.end.outputs:
            want_draft(draft, wants)

    def apply(self, rows: WorkingSet) -> tuple[Accepted, ...]:
        end = self.end
        kept = rows.turns.get(end.id)
        if kept is None:
            raise InvalidRequest(f"There is no turn {end.id} to end.")
        if kept.turn.ended_at_ms is not None or kept.turn.state is end.state:
            known = (existing_message(draft, rows) for draft in end.outputs)
            return tuple(Accepted(each.message, created=False) for each in known if each is not None)
        if end.state is TurnState.WAITING and _answered_already(kept, rows):
            end = replace(end, state=TurnState.DONE)
        for draft in end.outputs:
            check_draft(draft, rows)
        accepted = tuple(accept_draft(draft, rows) for draft in end.outputs)
        new = sum(answer.created for answer in accepted)
        end_turn(kept, end, kept.turn.outputs + new, rows)
        if end.session is not None:
            _note_session(end.session, end.at_ms, rows)
        return accepted


def _answered_already(kept: KeptTurn, rows: WorkingSet) -> bool:
    """Whether the answer that is said to come later was faster: it has been accepted since the turn was opened."""
    turn = kept.turn
    if rows.connection.scalar(road_in.answer_to(turn, kept.seq)) is not None:
        return True
    return any(
        message.in_reply_to in turn.inbound_ids
        and message.target == turn.target
        and message.seq > kept.seq
        and message.turn_id is None
        and message.klass is not MessageClass.PROGRESS
        for message in (each.message for each in rows.messages.values())
    )


def _note_session(asked_in: ChatSession, at_ms: int, rows: WorkingSet) -> None:
    """The session was used; unless another has begun meanwhile, the agent's own name of it is kept."""
    session = rows.sessions.get(asked_in.key)
    if session is None or session.since_ms != asked_in.since_ms:
        return
    named = replace(asked_in, used_at_ms=max(at_ms, session.used_at_ms))
    if named != session:
        rows.put_session(named)


def end_turn(kept: KeptTurn, end: TurnEnd, outputs: int, rows: WorkingSet) -> None:
    """The turn is over, or waits for an answer that comes later; what it answered asks nothing any more."""
    ended_at_ms = None if end.state is TurnState.WAITING else end.at_ms
    turn = replace(kept.turn, state=end.state, ended_at_ms=ended_at_ms, reason=end.reason, outputs=outputs)
    rows.put_turn(kept._replace(turn=turn), end.at_ms)
    ask_nothing(turn.inbound_ids, rows)


@dataclass(frozen=True, slots=True)
class NewSession:
    label: ClassVar[str] = "new_session"
    alone: ClassVar[bool] = False
    target: Target
    sender: str
    by_person: bool
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.chats.add(self.target)
        want_sessions(self.target, self.sender, wants)

    def apply(self, rows: WorkingSet) -> None:
        chat = rows.chat_for(self.target, self.at_ms)
        session = rows.session_for(self.target, person_of(chat, self.sender, self.by_person))
        rows.put_session(
            replace(session, since_ms=self.at_ms, used_at_ms=self.at_ms, agent="", agent_session="")
        )


@dataclass(frozen=True, slots=True)
class ChooseAgent:
    label: ClassVar[str] = "choose_agent"
    alone: ClassVar[bool] = False
    target: Target
    agent: str
    at_ms: int

    def wants(self, wants: Wants) -> None:
        wants.chats.add(self.target)

    def apply(self, rows: WorkingSet) -> None:
        rows.put_chat(replace(rows.chat_for(self.target, self.at_ms), agent=self.agent))
