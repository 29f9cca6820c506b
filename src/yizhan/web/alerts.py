"""/v1/alerts: what a person should know of, open troubles first."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yizhan.core.contract import alert_object
from yizhan.web import shapes
from yizhan.web.chats import CursorQuery, LimitQuery
from yizhan.web.exchange import answer, gateway_of

router = APIRouter(tags=["alerts"])


@router.get("/v1/alerts", responses={200: {"model": shapes.AlertPage}})
async def list_alerts(
    request: Request,
    state: Annotated[Literal["open", "cleared"] | None, Query(description="only these")] = None,
    cursor: CursorQuery = None,
    limit: LimitQuery = 50,
) -> Response:
    """Open alerts first, then those that were cleared; the latest change first."""
    is_open = None if state is None else state == "open"
    page = await gateway_of(request).alerts(is_open, cursor, limit)
    return answer({"items": [alert_object(alert) for alert in page.rows], "next": page.next})
