"""What WeChat's client is given, so that a person reads what was said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.platforms.ilink.rendering import render

WORDS = [
    "<",
    ">",
    "_",
    "__",
    "*",
    "**",
    "`",
    "``",
    "```",
    "~~~",
    "\n",
    " ",
    "a",
    "中",
    "|",
    "|---|",
    "-",
    "\\",
    "#####",
]
MORE = [
    "![",
    "](",
    ")",
    "[",
    "<br>",
    "https://x.y/a_b",
    "<https://x.y/a_b>",
    "](<x>)",
    "](x<y)",
    "![](",
    "![)",
    "snake_case",
    "| a | b | c | d | e |",
    "|-|-|-|-|-|",
]
TEXTS = st.lists(st.sampled_from(WORDS + MORE), max_size=30).map("".join)
WIDE = "| a | b | c | d | e |\n|---|:-:|--:|---|---|\n"


@pytest.mark.field("F41")
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("当CPU使用率<80%时属于**正常范围**", "当CPU使用率＜80%时属于**正常范围**"),
        ("a -> b => c > d", "a -> b => c > d"),
        ("> quoted", "> quoted"),
        ("EPS_manuscript_revised_CN.pdf", "`EPS_manuscript_revised_CN.pdf`"),
        ("文件 a_b.md，和 src/my_dir/x.py", "文件 `a_b.md`，和 `src/my_dir/x.py`"),
        ("__init__ and _word_", "`__init__` and *word*"),
        ("sign here: ______", "sign here: ＿＿＿＿＿＿"),
        ("escaped \\_ and \\<", "escaped ＿ and ＜"),
        ("这是*强调*的，*中文* and *word* and 2 * 3 * 4", "这是强调的，中文 and *word* and 2 * 3 * 4"),
        ("* item\n- item", "* item\n- item"),
        ("#### four\n##### five\n###### **six** ##", "#### four\n**five**\n**six**"),
        ("![alt](http://x.y/a_b.png) ![](http://x.y)", "[alt](http://x.y/a_b.png) [http://x.y](http://x.y)"),
        ("<https://x.y/a_b> or https://x.y/c_d_e.", "https://x.y/a_b or https://x.y/c_d_e."),
        ("[my_file](https://x.y/my_file)", "[`my_file`](https://x.y/my_file)"),
        ("`a<b_c` a<b", "`a<b_c` a＜b"),
        ("```\na<b_c\n```\na<b", "```\na<b_c\n```\na＜b"),
        ("~~~\na<b\n", "~~~\na<b\n"),
        ("[a](<http://x.y/a>), [b](http://x.y?c=<2>) end", "[a](http://x.y/a), [b](http://x.y?c=%3C2>) end"),
        ("![](a![) ![](![) ![](x!)", "[…](a![) […](![) [x!](x!)"),
        ("write `![a](b)` or `<https://x.y>`", "write `![a](b)` or `<https://x.y>`"),
        ("one ` tick a_b", "one ` tick a＿b"),
        ("line<br>next", "line\nnext"),
        ("| a | b |\n|---|---|\n| 1<br>2 | x_y |", "| a | b |\n|---|---|\n| 1 2 | `x_y` |"),
        (WIDE + "| 1 | 2 | | 4<br/>5 | x\\|y |\nend", "- **1** · b: 2 · d: 4 5 · e: x|y\nend"),
        (WIDE + "|", "- –"),
        ("a | b | c | d | e\nno table", "a | b | c | d | e\nno table"),
        ("", ""),
    ],
)
def test_what_wechat_would_garble_is_written_in_another_way(said: str, shown: str) -> None:
    """One row for each thing that its client is known to do to a text."""
    assert shown == render(said)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(TEXTS)
def test_rendered_again_it_stays_as_it_is(text: str) -> None:
    """A text that is accepted twice looks the same twice."""
    rendered = render(text)
    assert rendered == render(rendered)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(alphabet="ab中文 \n.,，。!?1-", max_size=80))
def test_plain_words_are_left_alone(text: str) -> None:
    """Most messages have nothing to render."""
    assert text == render(text)


def test_thirty_thousand_odd_characters_are_rendered_quickly() -> None:
    """A renderer that thinks for seconds holds up every chat."""
    pieces = [
        "<_*`![",
        "|a|b|c|d|e|\n|-|-|-|-|-|\n",
        "_a_ *中* ",
        "```\n",
        "a_b ` ",
        "`a``",
        "](a(b)",
        "*_",
        "](<",
        "](<a",
        "![](a![)",
    ]
    lines = [piece * (30_000 // len(piece)) for piece in pieces]
    lines += ["_" + "." * 30_000, "##### " + " " * 30_000 + "x", "#" * 30_000, "_" * 30_000]
    lines += [
        " ".join("`" * length for length in range(1, 240)),
        "![" + "a" * 30_000,
        "![" * 6_000 + "a" + "](b)" * 4_000,
        "|" * 30_000 + "\n|-|",
    ]
    for text in lines:
        render(text)
