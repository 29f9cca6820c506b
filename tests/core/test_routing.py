"""Which agent answers, as a table."""

from __future__ import annotations

import pytest

from yizhan.core.routing import Chosen, Route, choose
from yizhan.model import AccountId, ChatId, Target

HERE = Target(AccountId("qq:1020304"), ChatId("group/G1"))
ROUTES = (
    Route("chat", chat="group/G9"),
    Route("target", chat="qq:1020304:group/G8"),
    Route("code", prefix="/code"),
    Route("weixin only", platform="weixin", prefix="!w"),
    Route("account", account="qq:7"),
    Route("qq", platform="qq"),
)


@pytest.mark.parametrize(
    ("target", "by_chat", "text", "agent", "left"),
    [
        (HERE, "", "hi", "qq", "hi"),
        (Target(HERE.account, ChatId("group/G9")), "", "hi", "chat", "hi"),
        (Target(HERE.account, ChatId("group/G8")), "", "hi", "target", "hi"),
        (Target(AccountId("qq:7"), HERE.chat), "", "hi", "account", "hi"),
        (Target(AccountId("weixin:a"), HERE.chat), "", "hi", "default", "hi"),
        (Target(AccountId("weixin:a"), ChatId("group/G8")), "", "hi", "default", "hi"),
        (HERE, "chosen", "hi", "chosen", "hi"),
        (HERE, "chosen", "/code fix it", "code", "fix it"),
        (HERE, "", "  /CODE: fix it", "code", ": fix it"),
        (HERE, "", "/code", "code", ""),
        (HERE, "", "/coder fix it", "qq", "/coder fix it"),
        (HERE, "", "see /code", "qq", "see /code"),
        (HERE, "", "!w hi", "qq", "!w hi"),
        (Target(AccountId("weixin:a"), HERE.chat), "", "!w hi", "weixin only", "hi"),
    ],
)
def test_who_answers(target: Target, by_chat: str, text: str, agent: str, left: str) -> None:
    """A word first, then the choice for the chat, then the routes in their order, then the default."""
    assert Chosen(agent, left, by_word=left != text) == choose(ROUTES, "default", by_chat, target, text)


def test_without_routes_the_default_answers() -> None:
    assert Chosen("default", "hi") == choose((), "default", "", HERE, "hi")
