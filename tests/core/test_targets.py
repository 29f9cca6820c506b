"""Which chat a TARGET names."""

from __future__ import annotations

import pytest

from yizhan.errors import InvalidRequest, UnknownAccount
from yizhan.model import AccountId, ChatId, Target
from yizhan.runtime.targets import parse_target

WEIXIN, OTHER, QQ = AccountId("weixin:ab12@im.bot"), AccountId("weixin:cd34@im.bot"), AccountId("qq:1020304")


def test_a_full_target_names_its_account() -> None:
    assert Target(WEIXIN, ChatId("o9@im.wechat")) == parse_target(
        " weixin:ab12@im.bot:o9@im.wechat\n", [WEIXIN, OTHER, QQ]
    )
    assert Target(QQ, ChatId("c2c/OPENID")) == parse_target("qq:1020304:c2c/OPENID", [WEIXIN, QQ])


def test_a_target_comes_back_from_its_own_text() -> None:
    target = Target(WEIXIN, ChatId("o9@im.wechat"))
    assert target == parse_target(str(target), [WEIXIN, OTHER])


def test_a_short_target_does_where_the_platform_has_one_account() -> None:
    assert Target(QQ, ChatId("group/G1")) == parse_target("qq:group/G1", [WEIXIN, OTHER, QQ])


@pytest.mark.field("F81")
def test_a_short_target_is_ambiguous_where_it_has_two() -> None:
    """Sending to the wrong account's chat is worse than asking."""
    with pytest.raises(InvalidRequest) as raised:
        parse_target("weixin:o9@im.wechat", [WEIXIN, OTHER])
    assert WEIXIN in str(raised.value.fix)


@pytest.mark.parametrize("text", ["", ":", "weixin", "weixin:", ":x", "   "])
def test_what_is_no_target_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_target(text, [WEIXIN])
    assert "platform:account:chat" in str(raised.value.fix)


@pytest.mark.parametrize("text", ["weixin:zz99@im.bot:o9", "weixin:zz99@im.bot:", "qq:9:c2c/X", "telegram:x"])
def test_an_account_that_is_not_here_is_named_with_those_that_are(text: str) -> None:
    with pytest.raises(UnknownAccount) as raised:
        parse_target(text, [WEIXIN])
    assert WEIXIN in str(raised.value.fix)


def test_without_any_account_it_says_how_to_add_one() -> None:
    with pytest.raises(UnknownAccount) as raised:
        parse_target("weixin:o9@im.wechat", [])
    assert "yizhan login weixin" in str(raised.value.fix)


@pytest.mark.parametrize("text", ["weixin:ab12@im.bot", "weixin:ab12@im.bot:"])
def test_an_account_without_a_chat_is_not_mistaken_for_a_chat(text: str) -> None:
    """It exists, so "there is no such account" would send people looking in the wrong place."""
    with pytest.raises(InvalidRequest) as raised:
        parse_target(text, [WEIXIN])
    assert "not a chat" in str(raised.value)


def test_an_account_whose_name_begins_like_another_is_not_mistaken_for_it() -> None:
    accounts = [AccountId("qq:102"), AccountId("qq:1020304")]
    assert Target(AccountId("qq:1020304"), ChatId("c2c/X")) == parse_target("qq:1020304:c2c/X", accounts)


@pytest.mark.parametrize("letter", ["\u202e", "\u200b", "\u2066", "\ufeff", "\u00ad", "\x7f", "\u2028"])
def test_a_target_with_letters_that_nobody_sees_is_refused_by_their_number(letter: str) -> None:
    """It looks like the chat that was meant on every screen, and is another one."""
    with pytest.raises(InvalidRequest) as raised:
        parse_target(f"weixin:ab12@im.bot:o9{letter}@im.wechat", [WEIXIN])
    assert f"U+{ord(letter):04X}" in str(raised.value)
