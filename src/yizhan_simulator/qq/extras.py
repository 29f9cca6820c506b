"""The small calls: open a direct session, upload, recall, acknowledge a button, a bot's state in a group."""

from __future__ import annotations

from yizhan_simulator.qq.people import Scene, guild_user_id
from yizhan_simulator.qq.replies import headers, refuse
from yizhan_simulator.qq.state import QqState, Visit, keep
from yizhan_simulator.replies import text
from yizhan_simulator.state import Told

RECALL_MS = 120_000
SPINS_MS = 5000
"""How long a button waits for its acknowledgement. Source: the official Node SDK; not documented."""


def open_dm(state: QqState, visit: Visit) -> Told:
    """POST /users/@me/dms: by a person's number in guilds."""
    assert visit.bot is not None
    wanted = visit.ex.draft.user_id = text(visit.ex.body, "recipient_id")
    user_id = next((each for each in state.shared.people.users if guild_user_id(each) == wanted), None)
    if user_id is None:
        return refuse(visit, "unknown person", 304032)
    room = state.register.private(Scene.DM, visit.bot, user_id)
    told = {
        "guild_id": room.guild_id,
        "channel_id": f"{room.guild_id}1",
        "create_time": visit.ex.now_ms // 1000,
    }
    return Told(told, headers=headers(visit))


def files(state: QqState, visit: Visit) -> Told:
    """What is uploaded for a person or group can be sent to that one only; the bytes themselves are not kept."""
    assert visit.bot is not None
    scene = Scene.GROUP if "/groups/" in visit.ex.request.path else Scene.C2C
    openid = visit.ex.draft.user_id = visit.parts[0]
    if (visit.bot.app_id, scene, openid) not in state.register.index:
        return refuse(visit, "unknown target", 11255)
    body = visit.ex.body
    if body.get("file_type") not in (1, 2, 3, 4) or not any(
        text(body, name) for name in ("url", "file_data", "upload_id")
    ):
        return refuse(visit, "upload", 850026)
    info = f"file-{state.uuid()}"
    keep(state.uploads, info, (scene.value, openid))
    return Told({"file_uuid": state.uuid(), "file_info": info, "ttl": 0}, headers=headers(visit))


def recall(state: QqState, visit: Visit) -> Told:
    """Within two minutes, its own messages only."""
    _, message_id = visit.parts
    room = state.own.get(message_id)
    bubble = next((each for each in room.bubbles if each.message_id == message_id), None) if room else None
    visit.ex.draft.receipt = message_id
    if room is None or bubble is None:
        return refuse(visit, "unknown message", 40034024)
    if visit.ex.now_ms - bubble.at_ms > RECALL_MS:
        return refuse(visit, "too late", 40064004)
    room.bubbles.remove(bubble)
    state.shared.changed()
    return Told({}, headers=headers(visit))


def interaction(state: QqState, visit: Visit) -> Told:
    """PUT /interactions/{id}: the button stops spinning. Too late or twice is answered alike; the ledger tells."""
    interaction_id = visit.ex.draft.receipt = visit.parts[0]
    pressed = state.pressed.get(interaction_id)
    if pressed is None:
        return refuse(visit, "unknown interaction", 630001)
    at_ms, times = pressed
    state.pressed[interaction_id] = at_ms, times + 1
    late = " late" if visit.ex.now_ms - at_ms > SPINS_MS else ""
    visit.ex.draft.detail = f"code {visit.ex.body.get('code')}{late}{' again' if times else ''}"
    return Told({}, headers=headers(visit))


def bot_state(state: QqState, visit: Visit) -> Told:
    assert visit.bot is not None
    room = state.register.found(visit.bot.app_id, Scene.GROUP, visit.parts[0])
    visit.ex.draft.user_id = visit.parts[0]
    if room is None:
        return refuse(visit, "unknown target", 11255)
    seat = room.seats[visit.bot.app_id]
    told = {
        "recv_msg_setting": "all" if seat.receive == "all" else "only_mention",
        "allow_proactive_msg": seat.proactive,
        "member_role": "member",
    }
    return Told(told, headers=headers(visit))
