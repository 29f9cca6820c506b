"""What a request is refused with, said in the language of the page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from string import Formatter

import pytest

from tests.house.conftest import sources
from yizhan import errors
from yizhan.core.addresses import judge_url
from yizhan.core.timetable import Unreadable, read
from yizhan.web.console.complaints import TWINS, told

REFUSALS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.RequestError)
} | {"Unreadable"}
ROOMS = (
    "yizhan.core.timetable", "yizhan.runtime.schedules", "yizhan.runtime.webhooks", "yizhan.runtime.outbound",
    "yizhan.runtime.gateway", "yizhan.runtime.targets", "yizhan.runtime.turns", "yizhan.web.console.",
)  # fmt: skip
"""What is refused while somebody types in a form, or presses a button."""


def sentences() -> Iterator[str]:
    """Everything that these rooms refuse a request with, what is filled in as an `x`."""
    for module, tree in sources().items():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=name), args=args) if name in REFUSALS:
                    yield from (_text(arg) for arg in args if module.startswith(ROOMS))


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts)
    return ""


@pytest.mark.parametrize("text", sorted(set(filter(None, sentences()))))
def test_every_refusal_is_said_in_chinese_too(text: str) -> None:
    """A Chinese page told its reader in English what to change."""
    chinese, language = told("zh", text)
    assert "zh" == language
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
    assert (text, "en") == told("en", text)


@pytest.mark.parametrize(
    ("when", "chinese"),
    [
        ("", "没有写时间。"),
        ("every banana", "'banana' 不是一段时间。"),
        ("every 1s", "every 1s 太频繁。"),
        ("at 25:00", "25:00 不是一天里的时间。"),
        ("at 2026-12-24", "'2026-12-24' 只有日期，没有时间。"),
        ("99 9 * * *", "不是 cron 表达式"),
        ("at teatime", "'teatime' 不是时间。"),
        ("1 2 3 4", "没有说时间"),
    ],
)
def test_what_is_typed_as_a_time_is_answered_in_the_readers_language(when: str, chinese: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(when, "UTC", 0)
    assert chinese in told("zh", refused.value.text)[0]
    assert "zh" == told("zh", refused.value.fix)[1]


def test_what_is_filled_in_is_translated_where_it_is_known() -> None:
    forbidden = judge_url("http://127.0.0.1/")
    assert forbidden is not None
    assert (
        "不会推送到这个地址：是这台机器自己。"
        == told("zh", f"Nothing is posted to this url: {forbidden.why}.")[0]
    )
    assert ("Something new.", "en") == told("zh", "Something new.")
    assert ("", "zh") == told("zh", "")


def test_both_sides_have_the_same_blanks() -> None:
    for english, chinese in TWINS:
        blanks = [
            sum(name is not None for _, name, _, _ in Formatter().parse(text)) for text in (english, chinese)
        ]
        assert blanks[0] == blanks[1], english
