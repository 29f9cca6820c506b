"""The writes that take a message in: a draft is checked, recognised if it came before, and becomes a row with its
entries; an answer ends the progress lines before it, and the turn that waited for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from yizhan.errors import IdempotencyConflict, InvalidRequest, UnknownMessage
from yizhan.model import (
    Entry,
    InboundId,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    Target,
    TurnState,
)
from yizhan.ports import Accepted, Draft
from yizhan.store.entries import end_waiting
from yizhan.store.rows import KeptMessage, KeptTurn
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet

SUPERSEDED = Reason("superseded", "the answer came before it was sent")


def want_draft(draft: Draft, wants: Wants) -> None:
    wants.accounts.add(draft.target.account)
    wants.chats.add(draft.target)
    wants.messages.add(draft.id)
    if draft.idempotency_key is not None:
        wants.keys.add((draft.target.account, draft.idempotency_key))
    if draft.in_reply_to is not None:
        wants.inbound.add(draft.in_reply_to)
    if draft.klass is MessageClass.REPLY:
        wants.progress.add(draft.target)


def existing_message(draft: Draft, rows: WorkingSet) -> KeptMessage | None:
    """What was accepted before under the draft's id or key, whatever its body."""
    existing = rows.messages.get(draft.id)
    if existing is None and draft.idempotency_key is not None:
        by_key = rows.by_key.get((draft.target.account, draft.idempotency_key))
        existing = None if by_key is None else rows.messages[by_key]
    return existing


def check_draft(draft: Draft, rows: WorkingSet) -> Message | None:
    """The message that exists already under the draft's id or key, None if it is new. Raises as accept."""
    existing = existing_message(draft, rows)
    if existing is not None:
        by_key = existing.message.id != draft.id
        if by_key and not draft.keep_first and existing.body_sha256 != draft.body_sha256:
            raise IdempotencyConflict(
                f"The idempotency key was used before, for message {existing.message.id} with another body.",
                "Use a new key for a new message.",
            )
        return existing.message
    rows.account(draft.target.account)
    if draft.in_reply_to is not None:
        _check_reply(draft.in_reply_to, draft.target, rows)
    return None


def _check_reply(inbound_id: InboundId, target: Target, rows: WorkingSet) -> None:
    kept = rows.inbound.get(inbound_id)
    if kept is None:
        raise UnknownMessage(
            f"There is no received message {inbound_id} to reply to.",
            "Use the id of a message.received event, or leave in_reply_to out.",
        )
    if (kept.inbound.account, kept.inbound.chat) != (target.account, target.chat):
        raise InvalidRequest(
            f"The received message {inbound_id} belongs to another chat than {target}.",
            "Reply in the chat in which it was received.",
        )


def accept_draft(draft: Draft, rows: WorkingSet) -> Accepted:
    """Accepts a draft that `check_draft` found new, or answers what there is. An answer ends the progress lines
    before it, in the same commit: neither a crash nor a full queue can come between."""
    existing = check_draft(draft, rows)
    if existing is not None:
        return Accepted(existing, created=False)
    rows.chat_for(draft.target, draft.created_at_ms)
    message = _message_of(draft, rows.next_seq(draft.target))
    rows.add_message(KeptMessage(message, draft.body_sha256))
    superseded = _supersede(draft, rows) if draft.klass is MessageClass.REPLY else ()
    return Accepted(message, created=True, superseded=superseded)


def _supersede(answer: Draft, rows: WorkingSet) -> tuple[MessageId, ...]:
    """The answer is there: what was to be said of its making need not be said any more."""
    pointless = tuple(rows.untouched_progress(answer.target))
    for message in pointless:
        rows.change_message(end_waiting(message, MessageState.CANCELLED, SUPERSEDED), answer.created_at_ms)
    return tuple(message.id for message in pointless)


def _message_of(draft: Draft, seq: int) -> Message:
    parts = enumerate(zip(draft.texts, draft.client_ids, strict=True), start=1)
    return Message(
        id=draft.id,
        account=draft.target.account,
        chat=draft.target.chat,
        seq=seq,
        klass=draft.klass,
        source=draft.source,
        text=draft.text,
        created_at_ms=draft.created_at_ms,
        expires_at_ms=draft.expires_at_ms,
        entries=tuple(Entry(no, text, client_id) for no, (text, client_id) in parts),
        idempotency_key=draft.idempotency_key,
        in_reply_to=draft.in_reply_to,
        turn_id=draft.turn_id,
        ordinal=draft.ordinal,
        not_before_ms=draft.not_before_ms,
    )


@dataclass(frozen=True, slots=True)
class Accept:
    label: ClassVar[str] = "accept"
    alone: ClassVar[bool] = False
    draft: Draft

    def wants(self, wants: Wants) -> None:
        want_draft(self.draft, wants)

    def apply(self, rows: WorkingSet) -> Accepted:
        """An answer for which a turn has waited ends that turn, in the same commit."""
        waiting = _waiting_turn(self.draft, rows)
        if waiting is None:
            return accept_draft(self.draft, rows)
        turn, at_ms = waiting.turn, self.draft.created_at_ms
        accepted = accept_draft(replace(self.draft, turn_id=turn.id, ordinal=turn.outputs), rows)
        if accepted.created:
            over = replace(turn, state=TurnState.DONE, ended_at_ms=at_ms, outputs=turn.outputs + 1)
            rows.put_turn(waiting._replace(turn=over), at_ms)
        return accepted


def _waiting_turn(draft: Draft, rows: WorkingSet) -> KeptTurn | None:
    """The turn that waits for this answer, None if none does."""
    inbound = rows.inbound.get(draft.in_reply_to) if draft.in_reply_to else None
    turn_id = inbound.inbound.turn_id if inbound else None
    if turn_id is None or draft.turn_id is not None or draft.klass is MessageClass.PROGRESS:
        return None
    if turn_id not in rows.turns:
        rows.load(Wants(turns={turn_id}))
    kept = rows.turns.get(turn_id)
    return kept if kept is not None and kept.turn.state is TurnState.WAITING else None
