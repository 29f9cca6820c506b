"""The server's end of the WebSocket: HELLO, IDENTIFY, READY, heartbeats, RESUME, and how a connection ends.

A socket comes and goes; a session outlives it. Events are numbered within the session and kept for replay, so a
client that resumes with the last number it has *kept* loses nothing.

Source: bot.q.qq.com "event-emit" for frames and codes; "reset by resume" as the text of 4902 from public logs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from yizhan_simulator.ledger import Effect
from yizhan_simulator.qq import gateway, odd
from yizhan_simulator.qq.codes import CLOSES
from yizhan_simulator.qq.people import ALL_INTENTS, QqBot
from yizhan_simulator.qq.socket import Json, Socket
from yizhan_simulator.qq.state import DANGLING_KEPT, QqState, Session
from yizhan_simulator.qq.tokens import owner_of
from yizhan_simulator.weather import Fault

HEARTBEAT, IDENTIFY, RESUME, RECONNECT, INVALID, HELLO, ACK = 1, 2, 6, 7, 9, 10, 11
ENDS_SESSION = frozenset({4001, 4002, 4003, 4005, 4006, 4007, *range(4010, 4015), *range(4900, 4916)})
"""Close codes after which the session cannot be resumed."""
SPACING_MS = 5000

Strike = tuple[str, Fault] | None


def opened(state: QqState, now_ms: int) -> Socket:
    """A client has connected: HELLO, and from now on it must send heartbeats."""
    socket = Socket(state.number(), now_ms, now_ms)
    state.sockets[socket.number] = socket
    _watch(state, socket, now_ms)
    strike = state.strike("qq.hello", "", (), now_ms)
    state.note(now_ms, "qq.hello", "", token=socket.key, wire=_name(strike))
    _struck(state, socket, strike, now_ms, lambda at_ms: _hello(state, socket, strike))
    return socket


def _hello(state: QqState, socket: Socket, strike: Strike) -> None:
    absurd = strike is not None and strike[1].kind == "absurd_interval"
    interval_ms: Any = strike[1].value if strike and absurd else state.knobs.heartbeat_interval_ms
    put(state, socket, {"op": HELLO, "d": {"heartbeat_interval": interval_ms}})


def received(state: QqState, socket: Socket, text: str, now_ms: int) -> None:
    """One frame from the client."""
    if not socket.live:
        state.note(now_ms, "qq.frame", socket.app_id, effect=Effect.LOST, token=socket.key, wire="muted")
        return
    frame = _parsed(text)
    match frame.get("op") if frame else None:
        case 1:
            _heartbeat(state, socket, frame.get("d"), now_ms)
        case 2:
            _identify(state, socket, frame.get("d"), now_ms)
        case 6:
            _resume(state, socket, frame.get("d"), now_ms)
        case None:
            drop(state, socket, 4002, now_ms)
        case _:
            drop(state, socket, 4001, now_ms)


def _parsed(text: str) -> Json:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# Heartbeats.


def _heartbeat(state: QqState, socket: Socket, told: Any, now_ms: int) -> None:
    socket.beat_ms = now_ms
    strike = state.strike("qq.heartbeat", socket.app_id, (), now_ms)
    state.note(
        now_ms, "qq.heartbeat", socket.app_id, token=socket.key, detail=str(told), wire=_name(strike)
    )  # fmt: skip
    _struck(state, socket, strike, now_ms, lambda at_ms: put(state, socket, {"op": ACK}))


def _watch(state: QqState, socket: Socket, now_ms: int) -> None:
    """Drops the connection when op 1 stays away; looks again after each patience."""
    patience_ms = round(state.knobs.heartbeat_interval_ms * state.knobs.heartbeat_tolerance)

    def look(at_ms: int) -> None:
        if socket.ended:
            return
        if at_ms - socket.beat_ms >= patience_ms:
            drop(state, socket, 4009, at_ms)
        else:
            _watch(state, socket, at_ms)

    state.shared.later(max(now_ms + 1, socket.beat_ms + patience_ms), look)


# IDENTIFY.


def _identify(state: QqState, socket: Socket, told: Any, now_ms: int) -> None:
    wish = told if isinstance(told, dict) else {}
    bot = _owner(state, wish.get("token"), now_ms)
    socket.app_id = bot.app_id if bot else ""
    refused = _refusal(state, socket, bot, wish, now_ms)
    strike = state.strike("qq.identify", socket.app_id, (), now_ms)
    state.note(
        now_ms, "qq.identify", socket.app_id, token=socket.key, detail=f"intents {wish.get('intents')!r}"[:60],
        effect=Effect.REFUSED if refused else Effect.ANSWERED, rule=str(refused or ""), wire=_name(strike),
    )  # fmt: skip
    if refused:
        return drop(state, socket, refused, now_ms)
    assert bot is not None
    shard = (wish["shard"][0], wish["shard"][1])
    _struck(
        state, socket, strike, now_ms, lambda at_ms: _ready(state, socket, bot, wish["intents"], shard, at_ms)
    )
    return None


def _refusal(state: QqState, socket: Socket, bot: QqBot | None, wish: Json, now_ms: int) -> int | None:
    """The close code for an IDENTIFY that is not granted. One that is made in good faith counts as used."""
    intents = wish.get("intents")
    if not wish or not isinstance(wish.get("token"), str):
        return 4002
    if socket.session_id:
        return 4005
    if bot is None:
        return 4004
    if bot.banned or bot.offline:
        return 4915 if bot.banned else 4914
    if not isinstance(intents, int) or isinstance(intents, bool) or intents < 0 or intents & ~ALL_INTENTS:
        return 4013
    if not _is_shard(wish.get("shard")):
        return 4010
    if intents & ~bot.intents:
        return 4014
    return _over_ration(state, bot, now_ms)


def _over_ration(state: QqState, bot: QqBot, now_ms: int) -> int | None:
    left = gateway.remaining(state, bot, now_ms)
    lately = sum(at_ms > now_ms - SPACING_MS for at_ms in bot.identified_ms)
    bot.identified_ms.append(now_ms)
    crowded = state.knobs.identify_spacing == "strict" and lately >= state.knobs.identify_concurrency
    return 4903 if left < 1 or crowded else None


def _is_shard(shard: Any) -> bool:
    numbers = isinstance(shard, list) and len(shard) == 2 and all(type(each) is int for each in shard)
    return numbers and 0 <= shard[0] < max(1, shard[1])


def _ready(
    state: QqState, socket: Socket, bot: QqBot, intents: int, shard: tuple[int, int], now_ms: int
) -> None:
    """A new session. Others of the same shard stay: whether the real server keeps both is not known."""
    if not socket.live:
        return
    _forget_dangling(state, bot.app_id, now_ms)
    buffer: deque[tuple[int, Json]] = deque(maxlen=state.knobs.buffer)
    session = Session(state.uuid(), bot.app_id, intents, shard, now_ms, buffer)
    state.sessions[session.session_id] = session
    _join(state, session, socket, now_ms)
    session.seq += 1
    user = {"id": bot.user_id, "username": bot.name, "bot": True}
    told = {"version": 1, "session_id": session.session_id, "user": user, "shard": list(shard)}
    put(state, socket, {"op": 0, "s": session.seq, "t": "READY", "d": told})


def _forget_dangling(state: QqState, app_id: str, now_ms: int) -> None:
    oldest_ms = now_ms - round(state.knobs.session_ttl_s * 1000)
    loose = [each for each in state.sessions.values() if each.app_id == app_id and each.socket is None]
    late = [each for each in loose if (each.lost_at_ms or 0) <= oldest_ms]
    for session in {id(each): each for each in [*late, *loose[:-DANGLING_KEPT]]}.values():
        del state.sessions[session.session_id]


def _join(state: QqState, session: Session, socket: Socket, now_ms: int) -> None:
    session.socket, session.lost_at_ms = socket, None
    socket.session_id, socket.app_id = session.session_id, session.app_id
    state.shared.changed()
    _recycle_later(state, socket, now_ms)


# RESUME.


def _resume(state: QqState, socket: Socket, told: Any, now_ms: int) -> None:
    wish = told if isinstance(told, dict) else {}
    session = state.sessions.get(str(wish.get("session_id")))
    bot = _owner(state, wish.get("token"), now_ms)
    socket.app_id = bot.app_id if bot else ""
    refused = _resume_refusal(state, bot, session, wish, now_ms)
    strike = state.strike("qq.resume", socket.app_id, (), now_ms)
    state.note(
        now_ms, "qq.resume", socket.app_id, token=socket.key, detail=f"seq {wish.get('seq')!r}"[:60],
        effect=Effect.REFUSED if refused else Effect.ANSWERED, rule=str(refused or ""), wire=_name(strike),
    )  # fmt: skip
    if refused:
        return _turn_away(state, socket, refused, now_ms)
    assert session is not None
    found = session
    _struck(
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
    if session is None or session.app_id != bot.app_id or _aged(state, session, now_ms):
        return state.knobs.resume_refusal_code
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq <= session.seq:
        return 4007
    return None


def _aged(state: QqState, session: Session, now_ms: int) -> bool:
    return session.lost_at_ms is not None and now_ms - session.lost_at_ms > state.knobs.session_ttl_s * 1000


def _turn_away(state: QqState, socket: Socket, code: int, now_ms: int) -> None:
    """All three forms stand in public logs."""
    if code not in (state.knobs.resume_refusal_code, 4007):
        return drop(state, socket, code, now_ms)
    if state.knobs.resume_refusal == "op9":
        put(state, socket, {"op": INVALID, "d": False})
    return drop(state, socket, 1005 if state.knobs.resume_refusal == "silent" else code, now_ms)


def _resumed(state: QqState, socket: Socket, session: Session, seq: int, strike: Strike, now_ms: int) -> None:
    """What the client has not kept, in order, then RESUMED. An older connection of the session is closed."""
    if not socket.live:
        return
    if session.socket is not None:
        drop(state, session.socket, 4902, now_ms, forget=False)
    _join(state, session, socket, now_ms)
    kind = strike[1].kind if strike else ""
    since = seq - strike[1].count if strike and kind == "replay_older" else seq
    for number, frame in list(session.buffer):
        if number > since and kind != "lose_gap":
            put(state, socket, frame)
            state.note(
                now_ms, "qq.replay", session.app_id, token=socket.key, count=number,
                receipt=str(id_in(frame)), client_id=str(frame.get("id", "")),
            )  # fmt: skip
    session.seq += 1
    put(state, socket, {"op": 0, "s": session.seq, "t": "RESUMED", "d": ""})


def id_in(frame: Json) -> object:
    body = frame.get("d")
    return body.get("id", "") if isinstance(body, dict) else ""


# Ends.


def drop(
    state: QqState, socket: Socket, code: int, now_ms: int, reason: str = "", forget: bool = True
) -> None:
    """The server ends the connection; `forget`: and the session, where the code says so."""
    if socket.ended:
        return
    words = reason or CLOSES.get(code, "")
    wire = "muted" if socket.muted else ""
    state.note(
        now_ms, "qq.close", socket.app_id, token=socket.key, detail=f"{code} {words}".strip(), wire=wire
    )
    session = _part(state, socket, now_ms)
    if session is not None and forget and code in ENDS_SESSION:
        state.sessions.pop(session.session_id, None)
    socket.hang_up(code, words)
    state.shared.signal(socket.key)


def left(state: QqState, socket: Socket, now_ms: int) -> None:
    """The client is gone; the session waits."""
    if socket.ended:
        return
    state.note(now_ms, "qq.left", socket.app_id, token=socket.key)
    _part(state, socket, now_ms)
    socket.ended = True


def mute(state: QqState, socket: Socket, now_ms: int) -> None:
    """Half-open from now on, for ever."""
    state.note(now_ms, "qq.mute", socket.app_id, token=socket.key)
    socket.muted = True
    socket.waiting.clear()
    state.shared.signal(socket.key)


def _part(state: QqState, socket: Socket, now_ms: int) -> Session | None:
    state.sockets.pop(socket.number, None)
    session = state.sessions.get(socket.session_id)
    if session is None or session.socket is not socket:
        return None
    session.socket, session.lost_at_ms = None, now_ms
    state.shared.changed()
    return session


def reconnect(state: QqState, socket: Socket) -> None:
    """Op 7: please come back. The close is another matter."""
    put(state, socket, {"op": RECONNECT})


def invalidate(state: QqState, socket: Socket, code: int, now_ms: int) -> None:
    """Op 9 out of the blue; with a code, the close after it."""
    state.sessions.pop(socket.session_id, None)
    put(state, socket, {"op": INVALID, "d": False})
    if code:
        drop(state, socket, code, now_ms)


def _recycle_later(state: QqState, socket: Socket, now_ms: int) -> None:
    """Source: every connection ends after about half an hour (public logs): op 7, then 4009."""
    how = state.knobs.recycle
    if how == "never":
        return

    def end(at_ms: int) -> None:
        if how in ("op7", "op7 only"):
            reconnect(state, socket)
        if how == "op7":
            state.shared.later(
                at_ms + state.knobs.recycle_grace_ms, lambda late: drop(state, socket, 4009, late)
            )
        elif how != "op7 only":
            drop(state, socket, int(how), at_ms)

    state.shared.later(now_ms + round(state.knobs.recycle_s * 1000), end)


# Faults of frames.


def _struck(
    state: QqState, socket: Socket, strike: Strike, now_ms: int, answer: Callable[[int], None]
) -> None:
    """Gives the answer as the fault says: now, late, never, or followed by an end."""
    fault = strike[1] if strike else None
    if fault is None:
        return answer(now_ms)
    match fault.kind:
        case "silence":
            return None
        case "mute":
            return mute(state, socket, now_ms)
        case "close":
            return drop(state, socket, fault.code or 4009, now_ms, fault.reason)
        case "invalid_session":
            return invalidate(state, socket, fault.code, now_ms)
        case "slow":
            return state.shared.later(now_ms + round(fault.delay_s * 1000), answer)
        case _:
            odd.before(state, socket, fault)
            answer(now_ms)
            return _after(state, socket, fault, now_ms)


def _after(state: QqState, socket: Socket, fault: Fault, now_ms: int) -> None:
    if fault.kind == "accept_close":
        drop(state, socket, fault.code or 4009, now_ms, fault.reason)
    if fault.kind == "accept_mute":
        state.shared.later(now_ms + 1, lambda at_ms: mute(state, socket, at_ms))


def put(state: QqState, socket: Socket, frame: Json) -> None:
    socket.put(frame)
    state.shared.signal(socket.key)


def _owner(state: QqState, token: Any, now_ms: int) -> QqBot | None:
    """With or without `QQBot ` before it: botgo resumes without."""
    return owner_of(state, token.removeprefix("QQBot ").strip(), now_ms) if isinstance(token, str) else None


def _name(strike: Strike) -> str:
    return strike[0] if strike else ""
