"""Events on their way: to the sessions that asked for them, to their buffers, or to a webhook."""

from __future__ import annotations

from yizhan_simulator.ledger import Effect
from yizhan_simulator.qq import ends, odd, webhook
from yizhan_simulator.qq.people import QqBot
from yizhan_simulator.qq.socket import Json, Socket, id_in
from yizhan_simulator.qq.state import Event, QqState, Session
from yizhan_simulator.weather import Fault


def dispatch(state: QqState, bot: QqBot, event: Event, now_ms: int) -> str:
    """Gives the event's id, `TYPE:uuid`. Without a session it is lost: the platform does not keep it."""
    event_id = f"{event.type}:{state.uuid()}"
    frame: Json = {"op": 0, "t": event.type, "id": event_id, "d": event.body}
    if bot.webhook_url:
        webhook.plan(state, bot, frame, event, now_ms)
        return event_id
    heard = [each for each in list(state.sessions.values()) if _hears(each, bot, event)]
    for each in heard:
        _number(state, each, frame, event, now_ms)
    if not heard:
        _note(state, bot.app_id, frame, event, now_ms, effect=Effect.LOST, rule="no session")
    return event_id


def _hears(each: Session, bot: QqBot, event: Event) -> bool:
    """Guild events go to one shard; others to the first. Source: "event-emit", (guild_id >> 22) % shards."""
    if each.app_id != bot.app_id or not each.intents & event.intent & bot.intents:
        return False
    index, count = each.shard
    home = (int(event.guild_id) >> 22) % count if event.guild_id and count > 1 else 0
    return count <= 1 or index == home


def _number(state: QqState, each: Session, frame: Json, event: Event, now_ms: int) -> None:
    socket = each.socket
    strike = state.strike("qq.dispatch", each.app_id, event.about, now_ms) if socket else None
    if socket is not None and strike is not None:
        odd.before(state, socket, strike[1], each)
        frame = odd.altered(strike[1], frame)
    numbered = _keep(each, frame)
    wire = strike[0] if strike else "muted" if socket and socket.muted else ""
    effect = Effect.DELAYED if socket is None else Effect.LOST if socket.muted else Effect.ANSWERED
    _note(state, each.app_id, numbered, event, now_ms, effect=effect, wire=wire)
    if socket is not None:
        _give(state, each, socket, numbered, strike[1] if strike else None, now_ms)


def _keep(each: Session, frame: Json) -> Json:
    each.seq += 1
    numbered = {**frame, "s": each.seq}
    each.buffer.append((each.seq, numbered))
    return numbered


def _give(
    state: QqState, each: Session, socket: Socket, numbered: Json, fault: Fault | None, now_ms: int
) -> None:
    def out(_: int = 0) -> None:
        ends.put(state, socket, numbered)

    match fault.kind if fault else "":
        case "silence":
            return
        case "mute":
            ends.mute(state, socket, now_ms)
        case "late" if fault:
            state.shared.later(now_ms + round(fault.delay_s * 1000), out)
        case "close" if fault:
            ends.drop(state, socket, fault.code or 4009, now_ms, fault.reason)
        case "accept_close" if fault:
            out()
            ends.drop(state, socket, fault.code or 4009, now_ms, fault.reason)
        case "double":
            out()
            out()
        case "double_new_s":
            out()
            ends.put(state, socket, _keep(each, numbered))
        case _:
            out()


def again(state: QqState, bot: QqBot, count: int, now_ms: int) -> int:
    """The last `count` events once more, with new numbers and the same ids; says how many went out."""
    given = 0
    for each in [one for one in state.sessions.values() if one.app_id == bot.app_id and one.socket]:
        for _, frame in list(each.buffer)[-count:] if count > 0 else []:
            numbered = _keep(each, frame)
            state.note(
                now_ms, "qq.replay", bot.app_id, count=each.seq, receipt=id_in(frame),
                client_id=str(frame.get("id", "")), detail="out of the blue",
            )  # fmt: skip
            assert each.socket is not None
            ends.put(state, each.socket, numbered)
            given += 1
    return given


def _note(state: QqState, app_id: str, frame: Json, event: Event, now_ms: int, **what: object) -> None:
    state.note(
        now_ms, "qq.dispatch", app_id, user_id=event.user_id, text=event.text, receipt=id_in(frame),
        client_id=str(frame.get("id", "")), count=int(frame.get("s", 0)), detail=event.type, **what,
    )  # fmt: skip
