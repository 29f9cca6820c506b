"""Access tokens: issue, expiry, overlap, and who a request speaks for.

Source: bot.q.qq.com "access-token": asked again, the same token with its remaining life, until 60 s are left;
then a new one, and both are honoured until the old one ends. Failures are answered with HTTP 200.
"""

from __future__ import annotations

from yizhan_simulator.qq.people import QqBot, Token
from yizhan_simulator.qq.replies import refuse
from yizhan_simulator.qq.state import QqState, Visit
from yizhan_simulator.replies import text
from yizhan_simulator.state import Told


def token(state: QqState, visit: Visit) -> Told:
    """POST /app/getAppAccessToken"""
    app_id = visit.ex.draft.bot_id = text(visit.ex.body, "appId")
    bot = state.register.bots.get(app_id)
    if bot is None or bot.banned:
        return refuse(visit, "unknown bot", 100007)
    if text(visit.ex.body, "clientSecret") != bot.secret:
        return refuse(visit, "wrong secret", 100016)
    now_ms = visit.ex.now_ms
    given = _current(state, bot, now_ms)
    left_s = max(1, (given.expires_at_ms - now_ms) // 1000)
    told = str(left_s) if state.knobs.expires_in == "text" else left_s
    return Told({"access_token": given.value, "expires_in": told})


def _current(state: QqState, bot: QqBot, now_ms: int) -> Token:
    """The token to hand out now; a new one in the last seconds of the newest."""
    bot.tokens = [each for each in bot.tokens if each.expires_at_ms > now_ms]
    overlap_ms = state.knobs.token_overlap_s * 1000
    if not bot.tokens or bot.tokens[-1].expires_at_ms - now_ms <= overlap_ms:
        value = "".join(state.rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789", k=64))
        bot.tokens.append(Token(value, now_ms + round(state.knobs.token_ttl_s * 1000)))
    return bot.tokens[-1]


def owner_of(state: QqState, value: str, now_ms: int) -> QqBot | None:
    """The bot whose living token this is."""
    for bot in state.register.bots.values():
        if any(each.value == value and each.expires_at_ms > now_ms for each in bot.tokens):
            return bot
    return None


def told_owner(state: QqState, token: object, now_ms: int) -> QqBot | None:
    """The bot that a frame's `token` speaks for; with or without `QQBot ` before it: botgo resumes without."""
    return owner_of(state, token.removeprefix("QQBot ").strip(), now_ms) if isinstance(token, str) else None


def admit(state: QqState, visit: Visit) -> Told | None:
    """Says who calls, or refuses. An address that is not listed is refused before the token is looked at; a banned
    bot may still ask where to connect, and hears 4915 there."""
    given = visit.ex.request.headers.get("authorization", "")
    scheme, _, value = given.partition(" ")
    visit.bot = owner_of(state, value.strip(), visit.ex.now_ms) if scheme == "QQBot" else None
    visit.ex.draft.bot_id = (
        visit.bot.app_id if visit.bot else visit.ex.request.headers.get("x-union-appid", "")
    )
    if not state.knobs.address_allowed:
        return refuse(visit, "address", 11298)
    if not given:
        return refuse(visit, "auth", 11241)
    if scheme != "QQBot":
        return refuse(visit, "auth", 11242)
    if visit.bot is None:
        return refuse(visit, "auth", 11244)
    if visit.bot.banned and not visit.ex.call.startswith("qq.gateway"):
        return refuse(visit, "banned", 11265)
    return None
