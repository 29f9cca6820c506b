"""The desk: every HTTP request comes by here, is described, perhaps swallowed or struck, admitted and answered."""

from __future__ import annotations

from yizhan_simulator.answering import parsed, reply, swallowed
from yizhan_simulator.ledger import Draft, Effect
from yizhan_simulator.qq import routes, tokens
from yizhan_simulator.qq.people import Scene
from yizhan_simulator.qq.replies import headers, refuse
from yizhan_simulator.qq.state import QqState, Visit
from yizhan_simulator.qq.wish import describe
from yizhan_simulator.state import Exchange, Json, Told
from yizhan_simulator.wire import SimReply, SimRequest


def visit_of(request: SimRequest, now_ms: int) -> tuple[Visit, Json | None]:
    found = routes.found(request.method, request.path)
    assert found is not None
    call, parts = found
    body = parsed(request.body)
    return Visit(Exchange(call, request, body or {}, None, now_ms, None, Draft()), parts), body


def early(state: QqState, visit: Visit) -> SimReply | None:
    """Swallowed by an outage, or struck by a fault before it could take effect. A struck upgrade never does: half
    a WebSocket is none."""
    ex, shared = visit.ex, state.shared
    if ex.call in routes.SENDS:
        describe(visit)
    _guess_bot(state, visit)
    if (lost := swallowed(shared, ex)) is not None:
        return lost
    if shared.weather.faults:
        ex.fault = shared.weather.pick(ex.call, ex.draft.bot_id, _about(state, visit), ex.now_ms)
    if ex.fault is not None and (ex.call == routes.SOCKET or not ex.fault[1].takes_effect):
        return reply(shared, ex, _without_effect(visit))
    return None


def _guess_bot(state: QqState, visit: Visit) -> None:
    """For faults that name a bot, and for the ledger; nothing is decided by it."""
    value = visit.ex.request.headers.get("authorization", "").partition(" ")[2]
    bot = tokens.owner_of(state, value.strip(), visit.ex.now_ms)
    told = str(visit.ex.body.get("appId", ""))
    visit.ex.draft.bot_id = bot.app_id if bot else told


def _about(state: QqState, visit: Visit) -> tuple[str, ...]:
    if not visit.parts:
        return ()
    app_id, openid = visit.ex.draft.bot_id, visit.parts[0]
    for scene in Scene:
        if (room := state.register.index.get((app_id, scene, openid))) is not None:
            names = [state.shared.people.users[user_id].name for user_id in room.members]
            return (openid, room.room_id, room.name, *(names if scene in (Scene.C2C, Scene.DM) else ()))
    return (openid,)


def told(state: QqState, visit: Visit, unreadable: bool) -> Told:
    route = routes.ROUTES.get(visit.ex.call)
    if route is None:
        visit.ex.draft.effect, visit.ex.draft.rule = Effect.REFUSED, "no upgrade"
        return Told({"message": "websocket upgrade required", "code": 400}, 400, headers(visit))
    refused = tokens.admit(state, visit) if route.needs_token else None
    if refused is None and unreadable and route.needs_token:
        refused = refuse(visit, "unreadable body", 12002)
    return refused or route.endpoint(state, visit)


def _without_effect(visit: Visit) -> Told:
    assert visit.ex.fault is not None
    name, fault = visit.ex.fault
    if fault.kind == "auth":
        return refuse(visit, name, 11243)
    if fault.kind == "refuse":
        return refuse(visit, name, fault.code or 22009, fault.status, fault.err_code)
    visit.ex.draft.effect, visit.ex.draft.rule = Effect.LOST, name
    return Told({}, headers=headers(visit))
