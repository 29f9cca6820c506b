"""What of an answer may go ahead while the rest is being said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.first_sentence import SHORTEST, first_sentence


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("The answer is forty-two. It was", "The answer is forty-two. "),
        ("今天的天气很好，适合出门走走。另外", "今天的天气很好，适合出门走走。"),
        ("他说：“今天一定会下雨，不出门。”所以", "他说：“今天一定会下雨，不出门。”"),
        ("Hello! The answer is forty-two. It was", "Hello! The answer is forty-two. "),
        ("A heading without an end\n\nThen more", "A heading without an end\n\n"),
        ("Version 3.14 is what you need here", None),
        ("The answer is forty-two.", None),
        ("The answer is forty-two. ", None),
        ("Yes. ", None),
        ("- first point of a list. Then", None),
        ("1. first point of a list. Then", None),
        ("Use `rm -rf` with much care. Then", None),
        ("```\ncode that ends here. Then", None),
        ("| a | b | is a table here. Then", None),
        ("", None),
    ],
)
def test_where_the_first_sentence_ends(said: str, first: str | None) -> None:
    end = first_sentence(said)
    assert first == (said[:end] if end else None)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.text(alphabet="ab1 .。!\n`-“”)", max_size=60))
def test_however_it_is_cut_nothing_is_lost_and_it_says_something(said: str) -> None:
    """A true beginning with something behind it; and one that was found stays the first, whatever comes."""
    end = first_sentence(said)
    if end is not None:
        assert 0 < end < len(said)
        assert len(said[:end].strip()) > SHORTEST
        assert end == first_sentence(said + " and more. And more.")
