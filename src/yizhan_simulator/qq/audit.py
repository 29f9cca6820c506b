"""Sends that a human looks at first: 202 with an audit id, and the result as an event."""

from __future__ import annotations

from dataclasses import replace

from yizhan_simulator.ledger import Effect
from yizhan_simulator.people import Bubble
from yizhan_simulator.qq import events
from yizhan_simulator.qq.dispatch import dispatch
from yizhan_simulator.qq.people import QqBot, Room, Scene
from yizhan_simulator.qq.replies import refuse, stamp
from yizhan_simulator.qq.socket import Json
from yizhan_simulator.qq.state import QqState, Visit
from yizhan_simulator.state import Told


def wait(state: QqState, visit: Visit, room: Room, bubble: Bubble) -> Told:
    """Source: bot.q.qq.com: 304023 with HTTP 202 and `data.message_audit.audit_id`."""
    assert visit.bot is not None
    audit_id, bot, verdict = f"audit-{state.uuid()}", visit.bot, state.knobs.audit
    told = refuse(visit, "audit", 304023)
    assert isinstance(told.body, dict)
    visit.ex.draft.effect = Effect.DELAYED if verdict == "pass" else Effect.DROPPED
    visit.ex.draft.detail = audit_id
    if verdict != "never":
        due_ms = visit.ex.now_ms + round(state.knobs.audit_s * 1000)
        asked_ms = visit.ex.now_ms
        state.shared.later(
            due_ms,
            lambda at_ms: _decide(state, bot, room, bubble, audit_id, verdict == "pass", asked_ms, at_ms),
        )
    return replace(told, body={**told.body, "data": {"message_audit": {"audit_id": audit_id}}})


def _decide(
    state: QqState, bot: QqBot, room: Room, bubble: Bubble, audit_id: str, passed: bool, asked_ms: int, now_ms: int
) -> None:  # fmt: skip
    body: Json = {"audit_id": audit_id, "audit_time": stamp(now_ms), "create_time": stamp(asked_ms)}
    seat = room.seats[bot.app_id]
    match room.scene:
        case Scene.C2C:
            body["user_openid"] = seat.openid
        case Scene.GROUP:
            body["group_openid"] = seat.openid
        case _:
            body |= {"guild_id": room.guild_id, "channel_id": seat.openid, "seq_in_channel": str(room.said)}
    if passed:
        body["message_id"] = bubble.message_id
        state.show(room, replace(bubble, at_ms=now_ms))
    kind = "MESSAGE_AUDIT_PASS" if passed else "MESSAGE_AUDIT_REJECT"
    dispatch(state, bot, events.make(kind, body), now_ms)
