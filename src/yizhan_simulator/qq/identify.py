"""IDENTIFY: who is it, may it, and is there still a ration; then READY and a new session.

Source: bot.q.qq.com "event-emit": fields, codes, and the ration that `/gateway/bot` tells.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from yizhan_simulator.ledger import Effect
from yizhan_simulator.qq import ends, gateway
from yizhan_simulator.qq.frames import name_of, struck
from yizhan_simulator.qq.people import ALL_INTENTS, QqBot
from yizhan_simulator.qq.socket import Json, Socket
from yizhan_simulator.qq.state import DANGLING_KEPT, QqState, Session
from yizhan_simulator.qq.tokens import told_owner

SPACING_MS = 5000


def identify(state: QqState, socket: Socket, told: Any, now_ms: int) -> None:
    wish = told if isinstance(told, dict) else {}
    bot = told_owner(state, wish.get("token"), now_ms)
    socket.app_id = bot.app_id if bot else ""
    refused = _refusal(state, socket, bot, wish, now_ms)
    strike = state.strike("qq.identify", socket.app_id, (), now_ms)
    state.note(
        now_ms, "qq.identify", socket.app_id, token=socket.key, detail=f"intents {wish.get('intents')!r}"[:60],
        effect=Effect.REFUSED if refused else Effect.ANSWERED, rule=str(refused or ""), wire=name_of(strike),
    )  # fmt: skip
    if refused:
        return ends.drop(state, socket, refused, now_ms)
    assert bot is not None
    shard = (wish["shard"][0], wish["shard"][1])
    struck(
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
    if wish["shard"][1] < state.knobs.shards_needed:
        return 4011
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
    session = Session(state.uuid(), bot.app_id, intents, shard, buffer)
    state.sessions[session.session_id] = session
    join(state, session, socket, now_ms)
    session.seq += 1
    user = {"id": bot.user_id, "username": bot.name, "bot": True}
    told = {"version": 1, "session_id": session.session_id, "user": user, "shard": list(shard)}
    ends.put(state, socket, {"op": 0, "s": session.seq, "t": "READY", "d": told})


def _forget_dangling(state: QqState, app_id: str, now_ms: int) -> None:
    oldest_ms = now_ms - round(state.knobs.session_ttl_s * 1000)
    loose = [each for each in state.sessions.values() if each.app_id == app_id and each.socket is None]
    late = [each for each in loose if (each.lost_at_ms or 0) <= oldest_ms]
    for session in {id(each): each for each in [*late, *loose[:-DANGLING_KEPT]]}.values():
        del state.sessions[session.session_id]


def join(state: QqState, session: Session, socket: Socket, now_ms: int) -> None:
    session.socket, session.lost_at_ms = socket, None
    socket.session_id, socket.app_id = session.session_id, session.app_id
    state.shared.changed()
    ends.recycle_later(state, socket, now_ms)
