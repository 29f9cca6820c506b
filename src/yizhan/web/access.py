"""/v1/access: who may talk to the agent, who may not, and who asked and waits for a decision."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from yizhan.core.contract import rule_object
from yizhan.model import AccountId, Rule
from yizhan.web import shapes
from yizhan.web.exchange import Body, Word, answer, gateway_of, read_body, takes

router = APIRouter(tags=["access"])


class RuleBody(Body):
    """A decision about a sender; also about one who has not written yet."""

    account: Word
    sender: Word = Field(description="the sender's id on that platform")
    rule: Literal["allow", "block"]


class ApprovalBody(Body):
    """A code that an unknown sender was told, and has told the operator."""

    code: Word


@router.get("/v1/access", responses={200: {"model": shapes.RuleList}})
async def list_rules(
    request: Request,
    account: Annotated[Word | None, Query(description="only this account's")] = None,
    rule: Annotated[Rule | None, Query(description="only these")] = None,
) -> Response:
    """Every sender that is known to the door; `pending` are those who wait for a decision."""
    rules = await gateway_of(request).store.rules(AccountId(account) if account else None)
    shown = [rule_object(known) for known in rules if rule in (None, known.rule)]
    return answer({"items": shown})


@router.post("/v1/access", responses={200: {"model": shapes.SenderRule}}, openapi_extra=takes(RuleBody))
async def decide(request: Request) -> Response:
    """Allow or block a sender."""
    body = await read_body(request, RuleBody)
    rule = await gateway_of(request).set_rule(AccountId(body.account), body.sender, Rule(body.rule))
    return answer(rule_object(rule))


@router.post(
    "/v1/access/approve", responses={200: {"model": shapes.SenderRule}}, openapi_extra=takes(ApprovalBody)
)
async def approve(request: Request) -> Response:
    """Allow the sender who was told this code."""
    body = await read_body(request, ApprovalBody)
    return answer(rule_object(await gateway_of(request).approve(body.code)))
