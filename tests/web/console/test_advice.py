"""Advice of the platforms, in both languages of the console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from yizhan.core.connection import Lost
from yizhan.model import Reason
from yizhan.platforms.ilink import listening
from yizhan.platforms.ilink.body import Envelope
from yizhan.platforms.ilink.policy import STALE_LOGIN
from yizhan.platforms.qq import access, memory
from yizhan.platforms.qq.answers import BANNED, NOT_WHITELISTED, WRONG_APP, read
from yizhan.platforms.qq.closes import CLOSES
from yizhan.platforms.qq.intents import LADDER, not_granted
from yizhan.platforms.qq.refusals import REFUSALS
from yizhan.ports import Answer
from yizhan.web.console import complaints
from yizhan.web.console.advice import BARS, told
from yizhan.web.console.words import Words

WHITELIST = "接口访问源IP不在白名单"


def refused(code: int, message: str = "no") -> Lost:
    lost = read(Answer(400, {}, f'{{"code":{code},"message":"{message}"}}'.encode()))
    assert isinstance(lost, Lost)
    return lost


def advice_of_qq() -> Iterator[str]:
    """Every phrase in which QQ's room tells a person what to do, and why."""
    for ending in CLOSES.values():
        yield from (ending.action, ending.text) if ending.action else ()
    for code in BANNED | NOT_WHITELISTED | WRONG_APP:
        yield from (refused(code).action, refused(code).text)
    yield refused(11298, f"{WHITELIST}: 203.0.113.7").action
    yield from (refusal.action for refusal in REFUSALS.values() if refusal.action)
    yield from (*access.WRONG.values(), *(access.ADVICE, memory.ASK_INTENTS))
    for rung in range(1, len(LADDER)):
        missing = not_granted(rung)
        assert missing is not None
        yield from (missing.text, missing.action)


@pytest.mark.parametrize("phrase", sorted(set(advice_of_qq())))
def test_whatever_qq_advises_is_said_in_the_language_of_the_page(phrase: str) -> None:
    """The Chinese console told its operator in English what to do."""
    chinese, language = told("zh", phrase)
    assert "zh" == language
    assert any("\u4e00" <= character <= "\u9fff" for character in chinese)
    assert (phrase, "en") == told("en", phrase)


def test_a_login_that_is_over_is_said_so_in_the_language_of_the_page() -> None:
    """The commonest trouble of all stood in English on a Chinese page: as reason, as alert, and under each message."""
    lost = listening.refused(Envelope(STALE_LOGIN, "session timeout", {}))
    assert "zh" == told("zh", lost.action)[1]
    assert "对方应答 -14：微信不再接受这个登录；可能又连接了别的程序" == Words("zh").reason(
        Reason(lost.code, lost.text)
    )
    alert = f"The login is over: {lost.text}."
    assert ("登录失效：微信不再接受这个登录；可能又连接了别的程序。", "zh") == complaints.told("zh", alert)


def test_an_address_and_a_reason_go_along() -> None:
    assert "203.0.113.7" in told("zh", refused(11298, f"{WHITELIST}: 203.0.113.7").action)[0]
    assert "平台禁止了这个账号：机器人已被封禁。" == told("zh", f"{BARS}the bot is banned.")[0]


def test_what_tries_at_once_goes_along() -> None:
    again = "yizhan account resume qq:102 tries at once"
    assert ("升级 Yizhan；yizhan account resume qq:102 会立即重试", "zh") == told(
        "zh", f"update Yizhan; {again}"
    )
    assert ("yizhan account resume qq:102 会立即重试", "zh") == told("zh", again)
    assert (f"something new; {again}", "en") == told("zh", f"something new; {again}")


@pytest.mark.parametrize("phrase", ["", "something new", f"{BARS}something new.", "call 203.0.113.7"])
def test_what_nobody_has_translated_is_shown_as_it_came(phrase: str) -> None:
    assert (phrase, "en") == told("zh", phrase)
