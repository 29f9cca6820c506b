"""How a connection ends, or goes quiet: closes, half-open sockets, op 7, op 9, and the recycling of every half hour.

The session outlives the socket, unless the close code says otherwise.

Source: bot.q.qq.com "event-emit", which codes allow RESUME; the rhythm of the recycling from public logs.
"""

from __future__ import annotations

from yizhan_simulator.qq.codes import CLOSES
from yizhan_simulator.qq.socket import Json, Socket
from yizhan_simulator.qq.state import QqState, Session

RECONNECT, INVALID = 7, 9
ENDS_SESSION = frozenset({4001, 4002, 4003, 4005, 4006, 4007, *range(4010, 4015), *range(4900, 4916)})
"""Close codes after which the session cannot be resumed."""


def put(state: QqState, socket: Socket, frame: Json) -> None:
    socket.put(frame)
    state.shared.signal(socket.key)


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
    session = part(state, socket, now_ms)
    if session is not None and forget and code in ENDS_SESSION:
        state.sessions.pop(session.session_id, None)
    socket.hang_up(code, words)
    state.shared.signal(socket.key)


def left(state: QqState, socket: Socket, now_ms: int) -> None:
    """The client is gone; the session waits. From a muted socket the server does not even hear that: it waits for
    heartbeats until its patience ends.
    """
    if socket.ended or socket.muted:
        return
    state.note(now_ms, "qq.left", socket.app_id, token=socket.key)
    part(state, socket, now_ms)
    socket.ended = True


def mute(state: QqState, socket: Socket, now_ms: int) -> None:
    """Half-open from now on, for ever."""
    state.note(now_ms, "qq.mute", socket.app_id, token=socket.key)
    socket.muted = True
    socket.waiting.clear()
    state.shared.signal(socket.key)


def part(state: QqState, socket: Socket, now_ms: int) -> Session | None:
    state.sockets.pop(socket.number, None)
    session = state.sessions.get(socket.session_id)
    if session is None or session.socket is not socket:
        return None
    session.socket, session.lost_at_ms = None, now_ms
    if session.forgotten:
        del state.sessions[session.session_id]
    state.shared.changed()
    return session


def reconnect(state: QqState, socket: Socket) -> None:
    """Op 7: please come back. The close is another matter."""
    put(state, socket, {"op": RECONNECT})


def invalidate(state: QqState, socket: Socket, code: int, now_ms: int) -> None:
    """Op 9: the session is gone, and the client may identify anew; with a code, the close after it."""
    state.sessions.pop(socket.session_id, None)
    socket.session_id = ""
    put(state, socket, {"op": INVALID, "d": False})
    if code:
        drop(state, socket, code, now_ms)


def recycle_later(state: QqState, socket: Socket, now_ms: int) -> None:
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
