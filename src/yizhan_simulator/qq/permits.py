"""May this be said here and now: switches, the allowance of what is answered, wake-ups, quotas, limits.

Source: bot.q.qq.com "message/overview", 2026.
"""

from __future__ import annotations

from yizhan_simulator.qq.people import Scene
from yizhan_simulator.qq.replies import refuse
from yizhan_simulator.qq.state import QqState, Visit
from yizhan_simulator.qq.wish import INPUT_NOTIFY, Wish, answered
from yizhan_simulator.state import Told

WAKEUP_PERIODS_S = (86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400)
"""One wake-up in each of these periods after the person last wrote."""


def closed(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    visit.ex.draft.token_state = "passive" if wish.answers else "wakeup" if wish.wakes else "proactive"
    if not wish.seat.present:
        return refuse(visit, "left", 40034101 if wish.scene is Scene.GROUP else 40054004)
    if wish.seat.muted_until_ms > visit.ex.now_ms:
        return refuse(visit, "muted", 40054002)
    if state.knobs.while_offline == "refuse" and not online(state, visit):
        return refuse(visit, "offline", 304018)
    if wish.answers:
        return _not_answerable(state, visit, wish)
    return _not_wakeable(visit, wish) if wish.wakes else _not_proactive(state, visit, wish)


def online(state: QqState, visit: Visit) -> bool:
    assert visit.bot is not None
    return bool(visit.bot.webhook_url) or state.online(visit.bot.app_id)


def _not_answerable(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    inbound = answered(state, visit, wish)
    if inbound is None:
        return refuse(visit, "unknown id", 40034025 if wish.is_event else 40034024)
    window_s, replies = _allowance(state, wish.scene)
    if inbound.expired or visit.ex.now_ms - inbound.at_ms > window_s * 1000:
        return refuse(visit, "window", 40034026 if wish.is_event else 40034005)
    counts = wish.kind != INPUT_NOTIFY or state.knobs.typing_counts
    if replies and counts and inbound.replies >= replies:
        return refuse(visit, "allowance", 40034128)
    return None


def _allowance(state: QqState, scene: Scene) -> tuple[float, int]:
    """Window in seconds, and replies per message (0: any number)."""
    knobs = state.knobs
    return {
        Scene.C2C: (knobs.c2c_window_s, knobs.c2c_replies),
        Scene.GROUP: (knobs.group_window_s, knobs.group_replies),
        Scene.CHANNEL: (knobs.channel_window_s, knobs.channel_replies),
        Scene.DM: (knobs.dm_window_s, knobs.dm_replies),
    }[scene]


def _not_wakeable(visit: Visit, wish: Wish) -> Told | None:
    if wish.scene is not Scene.C2C:
        return refuse(visit, "wake-up", 40034123)
    last_ms = wish.seat.last_inbound_ms
    since_s = (visit.ex.now_ms - last_ms) / 1000 if last_ms is not None else 1e9
    period = next((place for place, end_s in enumerate(WAKEUP_PERIODS_S) if since_s < end_s), None)
    if period is None or period in wish.seat.woken:
        return refuse(visit, "wake-up", 40034122)
    wish.seat.woken.add(period)
    return None


def _not_proactive(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    if not wish.seat.proactive:
        return refuse(visit, "switch", 40034105)
    return None


def not_now(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    """Limits of the script, then the quotas of unasked messages; what passes is counted."""
    assert visit.bot is not None
    app_id, now_ms = visit.bot.app_id, visit.ex.now_ms
    every = [state.shared.limits]
    if not wish.answers and not wish.wakes:
        every.append(state.quotas(wish.scene))
    for limits in every:
        if (denied := limits.ask(app_id, wish.room.room_id, now_ms)) is not None:
            return refuse(visit, denied[0], denied[1].rule.code)
    return None
