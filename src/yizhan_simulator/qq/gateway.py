"""Where to connect, and who one is: /gateway, /gateway/bot, /users/@me. Source: bot.q.qq.com "event-emit"."""

from __future__ import annotations

from yizhan_simulator.qq.people import QqBot
from yizhan_simulator.qq.replies import headers
from yizhan_simulator.qq.state import QqState, Visit
from yizhan_simulator.state import Told

DAY_MS = 86_400_000


def gateway(state: QqState, visit: Visit) -> Told:
    return Told({"url": _url(state, visit)}, headers=headers(visit))


def gateway_bot(state: QqState, visit: Visit) -> Told:
    """With the ration of IDENTIFYs."""
    assert visit.bot is not None
    now_ms, knobs = visit.ex.now_ms, state.knobs
    limit = {
        "total": knobs.identify_total,
        "remaining": remaining(state, visit.bot, now_ms),
        "reset_after": _reset_after_ms(visit.bot, now_ms),
        "max_concurrency": knobs.identify_concurrency,
    }
    told = {"url": _url(state, visit), "shards": knobs.shards, "session_start_limit": limit}
    return Told(told, headers=headers(visit))


def me(state: QqState, visit: Visit) -> Told:
    """`id` is a number in text: qq-botpy turns it into an int."""
    assert visit.bot is not None
    bot = visit.bot
    told = {
        "id": bot.user_id,
        "username": bot.name,
        "avatar": "",
        "union_openid": "",
        "union_user_account": "",
    }
    return Told(told, headers=headers(visit))


def remaining(state: QqState, bot: QqBot, now_ms: int) -> int:
    """IDENTIFYs left; forgets those older than a day."""
    bot.identified_ms = [at_ms for at_ms in bot.identified_ms if at_ms > now_ms - DAY_MS]
    return max(0, state.knobs.identify_total - len(bot.identified_ms))


def _reset_after_ms(bot: QqBot, now_ms: int) -> int:
    return bot.identified_ms[0] + DAY_MS - now_ms if bot.identified_ms else DAY_MS


def _url(state: QqState, visit: Visit) -> str:
    host = visit.ex.request.headers.get("host", "127.0.0.1")
    return state.knobs.gateway_url or f"ws://{host}/websocket/"
