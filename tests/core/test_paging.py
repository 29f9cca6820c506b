"""Parts as the chat reads them: numbered, code and tables opened again, and nothing of the text lost by it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.markdown import fence_after
from yizhan.core.paging import LEAST_CHARS, laid_out, pages
from yizhan.core.parts import pack

bounded = settings(max_examples=80, deadline=None, derandomize=True)
LINES = [
    "",
    "```python",
    "```",
    "~~~~",
    "    indented = 1",
    "x" * 70,
    "一段中文，两句话。第二句！",
    "# heading",
    "| a | b |",
    "|---|---|",
    "| 1 | 👨‍👩‍👧‍👦 |",
    "plain words and more of them",
    "```" + "y" * 60,
    "-" * 30 + "`" * 30,
]
TEXTS = st.one_of(
    st.lists(st.sampled_from(LINES), max_size=40).map("\n".join),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=400),
)
NUMBER = re.compile(r"\n\n\((\d+)/(\d+)\)\Z")
CODE = "```python\n" + "\n".join(f"line({number})" for number in range(40)) + "\n```"
TABLE = "| name | age |\n|---|---|\n" + "\n".join(f"| person {number} | {number} |" for number in range(30))


@pytest.mark.field("F40")
@bounded
@given(TEXTS, st.integers(LEAST_CHARS, 200), st.integers(320, 500))
def test_parts_without_what_was_added_are_the_text(text: str, max_chars: int, max_bytes: int) -> None:
    """What is opened again and closed stands beside the text, never in its place."""
    at = 0
    for part in laid_out(text, max_chars, max_bytes):
        found = text.index(part.text, at)
        assert not text[at:found].strip()
        at = found + len(part.text)
    assert not text[at:].strip()


@bounded
@given(TEXTS, st.integers(1, 200), st.integers(4, 500), st.booleans())
def test_no_part_is_larger_than_it_may_be(text: str, max_chars: int, max_bytes: int, numbered: bool) -> None:
    """Numbers, fences and heads count as well: a platform cuts what is too long, or refuses it."""
    for part in pages(text, max_chars, max_bytes, numbered):
        assert len(part) <= max_chars
        assert len(part.encode()) <= max_bytes
        assert part.strip()


def test_ticks_inside_a_line_open_nothing() -> None:
    """A long line is cut anywhere; what stands at the cut is not the beginning of a line."""
    text = "-" * 72 + "`" * 30 + "\n```" + "y" * 60
    assert all(len(part) <= 80 for part in pages(text, 80, 320, True))


@pytest.mark.parametrize("numbered", [True, False])
def test_a_long_closing_line_is_taken_along_only_where_it_fits(numbered: bool) -> None:
    """Lines of tildes, as some put them under a title, close as much code as they open, and need much more room."""
    tildes = "~" * 26
    for before in range(40, 80):
        text = f"{tildes}\n{'x' * before}\n{tildes}\n" * 4
        parts = pages(text, 80, 600, numbered)
        assert all(len(part) <= 80 for part in parts)
        assert text.count("x") == sum(part.count("x") for part in parts)


@bounded
@given(TEXTS, st.integers(LEAST_CHARS, 200))
def test_several_parts_are_numbered_and_one_is_not(text: str, max_chars: int) -> None:
    """The reader knows that more will come, and when all is there."""
    parts = pages(text, max_chars, 10_000, True)
    if len(parts) < 2:
        assert list(parts) == [text] * bool(text.strip())
    else:
        numbers = [found.groups() for part in parts if (found := NUMBER.search(part))]
        assert [(str(no), str(len(parts))) for no in range(1, len(parts) + 1)] == numbers


def test_number_may_be_left_out() -> None:
    """An operator may find it ugly."""
    assert not any(NUMBER.search(part) for part in pages("word " * 100, 100, 400, False))


def test_code_that_is_cut_is_closed_and_opened_again() -> None:
    """Half a fence turns the rest of the chat into code, or code into prose."""
    parts = pages(f"Look:\n\n{CODE}\n\nThat is all.", 160, 1000, True)
    assert len(parts) > 2
    for part in parts:
        fence = None
        for line in part.split("\n"):
            fence = fence_after(line, fence)
        assert fence is None, part
        assert "```python\n```" not in part
    shown = "".join(re.sub(r"```\w*\n?|\n\n\(\d+/\d+\)", "", part) for part in parts)
    assert [f"line({number})" for number in range(40)] == re.findall(r"line\(\d+\)", shown)


def test_table_that_is_cut_has_its_head_again() -> None:
    """Rows without a head are a row of bars."""
    parts = pages(f"People:\n\n{TABLE}\n\nThat is all.", 200, 1000, True)
    assert len(parts) > 2
    assert all("| name | age |\n|---|---|\n| person" in part for part in parts)


def test_long_messages_need_as_few_parts_as_without_numbers() -> None:
    """A number costs eight characters, not a send."""
    text = "\n\n".join(["word " * 190] * 8)
    assert len(pages(text, 2000, 8000, False)) == len(pages(text, 2000, 8000, True)) == 4


def test_more_than_nine_parts_have_room_for_their_numbers() -> None:
    """Two digits need more room than one."""
    parts = pages("x" * 11_900, 1000, 4000, True)
    assert parts[-1].endswith(f"({len(parts)}/{len(parts)})")
    assert {1000} == {len(part) for part in parts[9:-1]}


def test_a_long_text_is_laid_out_quickly() -> None:
    """Work in proportion to the text."""
    assert len(pages(f"{CODE}\n" * 800, 2000, 8000, True)) > 140


@bounded
@given(st.lists(TEXTS.filter(str.strip), max_size=6), st.integers(LEAST_CHARS, 200), st.integers(320, 500))
def test_what_is_packed_never_costs_more_parts_than_apart(
    texts: list[str], max_chars: int, max_bytes: int
) -> None:
    """Numbers and opened fences took the room that two small answers were to share: packed they cost a send more."""

    def cost(text: str) -> int:
        return len(pages(text, max_chars, max_bytes, True))

    packed = pack(texts, max_chars, max_bytes, 1_000, cost)
    assert sum(map(cost, packed)) <= sum(map(cost, texts))
    assert "\n\n".join(texts) == "\n\n".join(packed)
    assert all(len(text) <= max(1_000, *map(len, texts)) for text in packed)
    for text in packed:
        assert all(
            len(part) <= max_chars and len(part.encode()) <= max_bytes
            for part in pages(text, max_chars, max_bytes, True)
        )


def test_answers_share_a_part_only_where_their_numbers_have_room() -> None:
    """Two parts of bare text are three with numbers, which is what the two answers cost apart."""
    small, large = "a" * 20, "b" * 178

    def cost(text: str) -> int:
        return len(pages(text, 100, 400, True))

    assert (2, 1) == (cost(large), cost(small))
    assert [small, large] == pack([small, large], 100, 400, 1_000, cost)
    assert [f"{small}\n\n{small}"] == pack([small, small], 100, 400, 1_000, cost)
