"""How the platform words its answers over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from yizhan_simulator.ledger import Effect
from yizhan_simulator.qq.codes import known
from yizhan_simulator.qq.state import Visit
from yizhan_simulator.state import Json, Told
from yizhan_simulator.wire import JSON_HEADERS

_CHINA = timezone(timedelta(hours=8))


def stamp(at_ms: int) -> str:
    """RFC 3339 in China's time, whole seconds, as in every message and event."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(_CHINA).isoformat()


def headers(visit: Visit) -> Mapping[str, str]:
    """`application/json` bare: qq-botpy 1.2.1 takes anything else for text. The trace is for support."""
    return {**JSON_HEADERS, "X-Tps-trace-ID": _trace(visit)}


def _trace(visit: Visit) -> str:
    return f"{visit.ex.now_ms:032x}"


def refuse(
    visit: Visit, rule: str, code: int, status: int | None = None, err_code: int | None = None
) -> Told:
    """Refused for `rule` with this code, worded and paired by the table in `codes.py`."""
    words = known(code)
    second = err_code if err_code is not None else words.err_code if words.err_code is not None else code
    draft = visit.ex.draft
    draft.effect, draft.rule, draft.detail = Effect.REFUSED, rule, f"{code}/{second} {words.message}"
    body: Json = {"message": words.message, "code": code, "trace_id": _trace(visit)}
    if visit.ex.call != "qq.token":
        body["err_code"] = second
    return Told(body, status if status is not None else words.status, headers(visit))
