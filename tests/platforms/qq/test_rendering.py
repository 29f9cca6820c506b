"""What QQ's client is given: the text, and no orders in it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.platforms.qq.rendering import render

PIECES = ["<", "@", "everyone>", "qqbot-at-everyone />", "#1>", "![", "](", ")", "a", "\n", "```", "emoji:1>"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("hi <@123> and <@!4>", "hi ＜@123> and ＜@!4>"),
        (
            '<qqbot-at-everyone /><qqbot-cmd-input text="x" />',
            '＜qqbot-at-everyone />＜qqbot-cmd-input text="x" />',
        ),
        ("<#12> <emoji:4> <QQBOT-at-user id=1>", "＜#12> ＜emoji:4> ＜QQBOT-at-user id=1>"),
        ("`<@everyone>`", "`＜@everyone>`"),
        ("a < b, x<y and <T>", "a < b, x<y and <T>"),
        ("![alt](http://x.y/a.png) ![](http://x.y)", "[alt](http://x.y/a.png) [http://x.y](http://x.y)"),
        ("```\n![alt](x)\n```", "```\n![alt](x)\n```"),
        ("![](a![) ![](![)", "[…](a![) […](![)"),
        ("wow" + "!" * 40 + "[alt](x)", "wow[alt](x)"),
        ("write `![alt](x)`, not ![alt](x)", "write `![alt](x)`, not [alt](x)"),
        ("**bold** a_b_c", "**bold** a_b_c"),
    ],
)
def test_texts_give_no_orders_to_the_client(said: str, shown: str) -> None:
    """An agent that repeats a stranger's words must not mention a whole group."""
    assert shown == render(said)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_rendered_again_it_stays_as_it_is(text: str) -> None:
    """A text that is accepted twice looks the same twice."""
    rendered = render(text)
    assert rendered == render(rendered)
