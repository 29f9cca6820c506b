"""/v1/turns: answers in the making, and what became of them; to be run again, or stopped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yizhan.core.contract import turn_listed_object
from yizhan.errors import InvalidRequest
from yizhan.model import AccountId, ChatId, Target, TurnId, TurnState
from yizhan.ports import TurnFilter
from yizhan.web import shapes
from yizhan.web.exchange import Word, answer, gateway_of, time_ms
from yizhan.web.repeats import ONCE, SAME, asked_of

router = APIRouter(tags=["turns"])


@router.get("/v1/turns", responses={200: {"model": shapes.TurnPage}})
async def list_turns(
    request: Request,
    account: Annotated[Word | None, Query(description="only this account's")] = None,
    chat: Annotated[Word | None, Query(description="only this chat's (a TARGET)")] = None,
    state: Annotated[
        list[Word] | None, Query(description="only these states; separated by commas, or repeated")
    ] = None,
    since: Annotated[shapes.Time | None, Query(description="only those opened at or after this time")] = None,
    cursor: Annotated[Word | None, Query(description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Turns, newest first."""
    gateway = gateway_of(request)
    owner, name = AccountId(account) if account else None, None
    if chat:
        owner, name = _within(owner, await gateway.resolve(chat))
    where = TurnFilter(owner, name, _states(state or ()), time_ms(since, "since") if since else None)
    page = await gateway.store.turns(where, cursor, limit)
    return answer({"items": [turn_listed_object(turn) for turn in page.rows], "next": page.next})


@router.get("/v1/turns/{turn_id}", responses={200: {"model": shapes.TurnListed}})
async def get_turn(request: Request, turn_id: Word) -> Response:
    """One turn."""
    return answer(turn_listed_object(await gateway_of(request).store.turn(TurnId(turn_id))))


@router.post(
    "/v1/turns/{turn_id}/rerun",
    status_code=201,
    responses={
        201: {"model": shapes.TurnListed, "description": "the new turn"},
        200: {"model": shapes.TurnListed, "description": SAME},
    },
    openapi_extra=ONCE,
)
async def rerun_turn(request: Request, turn_id: Word) -> Response:
    """Ask the agent again about the messages of a turn that has ended, in a new turn."""
    turn, new = await gateway_of(request).rerun_once(TurnId(turn_id), asked_of(request, f"rerun {turn_id}"))
    return answer(turn_listed_object(turn), 201 if new else 200)


@router.post("/v1/turns/{turn_id}/stop", responses={200: {"model": shapes.TurnListed}})
async def stop_turn(request: Request, turn_id: Word) -> Response:
    """End an open turn at once."""
    return answer(turn_listed_object(await gateway_of(request).stop_turn(TurnId(turn_id))))


def _within(account: AccountId | None, target: Target) -> tuple[AccountId, ChatId]:
    if account not in (None, target.account):
        raise InvalidRequest("The chat is not one of that account.", "Give one of the two.")
    return target.account, target.chat


def _states(given: Iterable[str]) -> frozenset[TurnState]:
    names = [name.strip() for words in given for name in words.split(",")]
    try:
        return frozenset(TurnState(name) for name in names)
    except ValueError:
        known = ", ".join(TurnState)
        raise InvalidRequest("state names a state that does not exist.", f"The states are {known}.") from None
