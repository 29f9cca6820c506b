"""The words of the platform: refusals, receipts and the answer to a bad token, in every shape seen."""

from __future__ import annotations

from collections.abc import Mapping

from yizhan_simulator.knobs import Knobs, Refusal
from yizhan_simulator.ledger import Effect
from yizhan_simulator.limits import Hint, hint_fields
from yizhan_simulator.state import Exchange, Json, State, Told
from yizhan_simulator.wire import JSON_HEADERS

PREPARE_FAILED = Refusal(ret=-2, errmsg="prepare failed")
INVALID = Refusal(ret=-2, errmsg="invalid arguments")
MALFORMED = Refusal(ret=-3, errmsg="invalid arguments")


def refuse(
    state: State, ex: Exchange, rule: str, refusal: Refusal, hint: Hint | None = None, wait_ms: int = 0
) -> Told:
    """Refused for `rule`, in these words; the ledger notes both."""
    ex.draft.effect = Effect.REFUSED
    ex.draft.rule = rule
    ex.draft.detail = f"{refusal.ret} {refusal.errmsg or ''}".strip()
    body = refusal_body(refusal, state.knobs)
    headers: Mapping[str, str] = JSON_HEADERS
    if hint is not None:
        more, extra = hint_fields(hint, wait_ms, state.rng)
        body |= more
        headers = {**JSON_HEADERS, **extra} if extra else headers
    return Told(body, headers=headers)


def refusal_body(refusal: Refusal, knobs: Knobs) -> Json:
    """Source: `ret` alone is today's shape; `errcode` beside it in cc-connect #1176, QwenPaw #4477."""
    match refusal.shape or knobs.refusal_shape:
        case "ret":
            body: Json = {"ret": refusal.ret}
        case "ret+errcode0":
            body = {"ret": refusal.ret, "errcode": 0}
        case "errcode":
            body = {"errcode": refusal.ret}
        case "both":
            body = {"ret": refusal.ret, "errcode": refusal.ret}
    return body if refusal.errmsg is None else {**body, "errmsg": refusal.errmsg}


def auth_failed(state: State, ex: Exchange, rule: str) -> Told:
    """The same answer for a missing, garbled, unknown or revoked token.

    Source: @tencent-weixin/openclaw-weixin 2.4.9 session-guard; Tencent/openclaw-weixin #69.
    """
    ex.draft.effect = Effect.REFUSED
    ex.draft.rule = rule
    ex.draft.detail = "-14 session timeout"
    body: Json = {"errcode": -14, "errmsg": "session timeout"}
    return Told(body if state.knobs.auth_shape == "errcode" else {"ret": -14, **body})


def receipt(knobs: Knobs, message_id: int) -> Json | bytes:
    """What a successful send answers. Source: modern August 2026 on, legacy and ancient before it."""
    shown: int | str = message_id if knobs.id_style == "number" else str(message_id)
    match knobs.success_shape:
        case "modern":
            return {"message_id": shown}
        case "documented":
            return {"ret": 0, "message_id": str(message_id)}
        case "legacy":
            return {}
        case "ancient":
            return b""


def text(body: Json, name: str) -> str:
    """A string field, empty if it is missing or of another type."""
    value = body.get(name)
    return value if isinstance(value, str) else ""
