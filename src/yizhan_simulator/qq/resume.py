"""RESUME: back to a session, with what the client has not kept; or one of the refusals.

Source: bot.q.qq.com "event-emit"; "reset by resume" as the text of 4902, and all forms of refusal, from public logs.
"""

from __future__ import annotations

from typing import Any

from yizhan_simulator.ledger import Effect
from yizhan_simulator.qq import ends
from yizhan_simulator.qq.frames import Strike, name_of, struck
from yizhan_simulator.qq.identify import join
from yizhan_simulator.qq.people import QqBot
from yizhan_simulator.qq.socket import Json, Socket, id_in
from yizhan_simulator.qq.state import QqState, Session
from yizhan_simulator.qq.tokens import told_owner


def resume(state: QqState, socket: Socket, told: Any, now_ms: int) -> None:
    wish = told if isinstance(told, dict) else {}
    session = state.sessions.get(str(wish.get("session_id")))
    bot = told_owner(state, wish.get("token"), now_ms)
    socket.app_id = bot.app_id if bot else ""
    refused = _resume_refusal(state, bot, session, wish, now_ms)
    strike = state.strike("qq.resume", socket.app_id, (), now_ms)
    state.note(
        now_ms, "qq.resume", socket.app_id, token=socket.key, detail=f"seq {wish.get('seq')!r}"[:60],
        effect=Effect.REFUSED if refused else Effect.ANSWERED, rule=str(refused or ""), wire=name_of(strike),
    )  # fmt: skip
    if refused:
        return _turn_away(state, socket, refused, now_ms)
    assert session is not None
    found = session
    struck(
        state,
        socket,
        strike,
        now_ms,
        lambda at_ms: _resumed(state, socket, found, wish["seq"], strike, at_ms),
    )
    return None


def _resume_refusal(
    state: QqState, bot: QqBot | None, session: Session | None, wish: Json, now_ms: int
) -> int | None:
    seq = wish.get("seq")
    if bot is None:
        return 4004
    if bot.banned or bot.offline:
        return 4915 if bot.banned else 4914
    if session is None or session.forgotten or session.app_id != bot.app_id or _aged(state, session, now_ms):
        return state.knobs.resume_refusal_code
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq <= session.seq:
        return 4007
    return None


def _aged(state: QqState, session: Session, now_ms: int) -> bool:
    return session.lost_at_ms is not None and now_ms - session.lost_at_ms > state.knobs.session_ttl_s * 1000


def _turn_away(state: QqState, socket: Socket, code: int, now_ms: int) -> None:
    """All three forms stand in public logs."""
    if code not in (state.knobs.resume_refusal_code, 4007):
        return ends.drop(state, socket, code, now_ms)
    if state.knobs.resume_refusal == "op9":
        ends.put(state, socket, {"op": ends.INVALID, "d": False})
    return ends.drop(state, socket, 1005 if state.knobs.resume_refusal == "silent" else code, now_ms)


def _resumed(state: QqState, socket: Socket, session: Session, seq: int, strike: Strike, now_ms: int) -> None:
    """What the client has not kept, in order, then RESUMED. An older connection of the session is closed."""
    if not socket.live:
        return
    if session.socket is not None:
        ends.drop(state, session.socket, 4902, now_ms, forget=False)
    join(state, session, socket, now_ms)
    kind = strike[1].kind if strike else ""
    since = seq - strike[1].count if strike and kind == "replay_older" else seq
    for number, frame in list(session.buffer):
        if number > since and kind != "lose_gap":
            ends.put(state, socket, frame)
            state.note(
                now_ms, "qq.replay", session.app_id, token=socket.key, count=number,
                receipt=id_in(frame), client_id=str(frame.get("id", "")),
            )  # fmt: skip
    session.seq += 1
    ends.put(state, socket, {"op": 0, "s": session.seq, "t": "RESUMED", "d": ""})
