"""/v1/export/messages: what a filter of the outbox finds, as one file. No text is in it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from yizhan.core.contract import JsonObject, message_object
from yizhan.model import Message
from yizhan.ports import MessageFilter
from yizhan.web import shapes
from yizhan.web.exchange import Word, gateway_of
from yizhan.web.messages import filter_of

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway

router = APIRouter(tags=["messages"])

PAGE = 200
COLUMNS = (
    "id",
    "to",
    "priority",
    "state",
    "waiting_for",
    "reason_code",
    "reason_text",
    "possibly_doubled",
    "next_attempt_at",
    "created_at",
    "expires_at",
    "idempotency_key",
    "turn",
    "parts",
    "delivered_parts",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute instead of show."""

_encode = msgspec.json.Encoder().encode


@router.get(
    "/v1/export/messages",
    responses={
        200: {
            "description": "the file",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/json": {"schema": {"$ref": "#/components/schemas/MessagePage"}},
            },
        }
    },
)
async def export_messages(
    request: Request,
    format: Annotated[Literal["csv", "json"], Query(description="of the file")] = "csv",
    account: Annotated[Word | None, Query(description="only this account's")] = None,
    chat: Annotated[Word | None, Query(description="only this chat's (a TARGET)")] = None,
    state: Annotated[
        list[Word] | None, Query(description="only these states; separated by commas, or repeated")
    ] = None,
    since: Annotated[
        shapes.Time | None, Query(description="only those accepted at or after this time")
    ] = None,
    cause: Annotated[
        Word | None, Query(description="only those that wait for this, or whose reason has this code")
    ] = None,
) -> Response:
    """Every message of a filter, newest first, as a file."""
    gateway = gateway_of(request)
    where = await filter_of(gateway, account, chat, state, since, cause)
    await gateway.store.messages(where, None, 1)  # a store that cannot be read is told before the file begins
    rows = _rows(gateway, where)
    body, kind = (
        (_as_csv(rows), "text/csv; charset=utf-8")
        if format == "csv"
        else (_as_json(rows), "application/json")
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="messages.{format}"',
    }
    return StreamingResponse(body, headers=headers, media_type=kind)


async def _rows(gateway: Gateway, where: MessageFilter) -> AsyncIterator[JsonObject]:
    """A page at a time, so that a hundred thousand cost no more memory than one page."""
    cursor: str | None = None
    while True:
        page = await gateway.store.messages(where, cursor, PAGE)
        for row in page.rows:
            yield _shown(gateway, row)
        cursor = page.next
        if cursor is None:
            return


def _shown(gateway: Gateway, message: Message) -> JsonObject:
    return message_object(gateway.overlay(message), with_attempts=False)


async def _as_json(rows: AsyncIterator[JsonObject]) -> AsyncIterator[bytes]:
    yield b'{"items":['
    first = True
    async for row in rows:
        yield (b"" if first else b",") + _encode(row)
        first = False
    yield b'],"next":null}'


async def _as_csv(rows: AsyncIterator[JsonObject]) -> AsyncIterator[bytes]:
    yield _line(COLUMNS)
    async for row in rows:
        yield _line([_cell(row, column) for column in COLUMNS])


def _cell(row: JsonObject, column: str) -> Any:
    match column:
        case "reason_code" | "reason_text":
            return (row["reason"] or {}).get(column.removeprefix("reason_"))
        case "parts":
            return len(row["parts"])
        case "delivered_parts":
            return sum(part["state"] == "delivered" for part in row["parts"])
        case _:
            return row[column]


def _line(cells: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_harmless(cell) for cell in cells])
    return out.getvalue().encode()


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
