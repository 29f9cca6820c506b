"""What of an answer may go ahead while the rest is being said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.first_sentence import LONGEST, SHORTEST, Ends, Never, NotYet, first_sentence


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("The answer is forty-two. It was", "The answer is forty-two. "),
        ("今天的天气很好，适合出门走走。另外", "今天的天气很好，适合出门走走。"),
        ("他说：“今天一定会下雨，不出门。”所以", "他说：“今天一定会下雨，不出门。”"),
        ("Hello! The answer is forty-two. It was", "Hello! The answer is forty-two. "),
        ("A heading without an end\n\nThen more", "A heading without an end\n\n"),
    ],
)
def test_where_the_first_sentence_ends(said: str, first: str) -> None:
    assert Ends(len(first)) == first_sentence(said)
    assert first == said[: len(first)]


@pytest.mark.parametrize(
    "said",
    ["Version 3.14 is what you need here", "The answer is forty-two.", "It is forty-two. ", "Yes. ", ""],
)
def test_what_may_still_become_a_sentence_is_waited_for(said: str) -> None:
    assert isinstance(first_sentence(said), NotYet)


@pytest.mark.parametrize(
    "said",
    [
        "- first point of a list. Then",
        "1. first point of a list. Then",
        "Use `rm -rf` with much care. Then",
        "```\ncode that ends here. Then",
        "| a | b | is a table here. Then",
        "word " * LONGEST,
        "word " * LONGEST + "and an end at last. Then",
    ],
)
def test_what_belongs_together_or_has_no_end_never_goes_ahead(said: str) -> None:
    assert Never() == first_sentence(said)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.text(alphabet="ab1 .。!\n`-“”\u3000", max_size=60))
def test_however_it_is_cut_nothing_is_lost_and_it_says_something(said: str) -> None:
    """A true beginning with something behind it; and what was decided stays so, whatever comes."""
    found = first_sentence(said)
    if isinstance(found, Ends):
        assert 0 < found.at < len(said)
        assert len(said[: found.at].strip()) >= SHORTEST
    if not isinstance(found, NotYet):
        assert found == first_sentence(said + " and more. And more.")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.text(alphabet="abcdef1 .。!\n`-“”)\u3000", max_size=12), max_size=12))
def test_a_look_at_what_is_new_tells_as_much_as_a_look_at_everything(pieces: list[str]) -> None:
    """To look only where nobody has looked yet must not miss an end that came in two pieces."""
    said, looked = "", 0
    for piece in pieces:
        said += piece
        found = first_sentence(said, looked)
        assert found == first_sentence(said) or isinstance(found, NotYet)
        assert type(found) is type(first_sentence(said))
        if not isinstance(found, NotYet):
            return
        looked = found.looked


def _looked_at(piece: str) -> tuple[int, int]:
    """(characters that came until it was decided, those of them that were looked at, each time counted) of an answer of
    a megabyte in such pieces."""
    said, looked, seen = "", 0, 0
    while len(said) < 1_000_000:
        said += piece
        found = first_sentence(said, looked)
        seen += len(said) - looked
        if not isinstance(found, NotYet):
            break
        looked = found.looked
    return len(said), seen


@pytest.mark.parametrize("piece", ["word", "a.b ", "a\n", "今天"], ids=repr)
def test_a_megabyte_in_small_pieces_is_looked_at_once(piece: str) -> None:
    """Each piece had the whole answer searched again: a megabyte kept every chat waiting for minutes."""
    came, seen = _looked_at(piece)
    assert came <= LONGEST + len(piece)
    assert seen <= 2 * came


@pytest.mark.parametrize("piece", ["。", "……", "\n", " ."], ids=repr)
def test_nothing_but_ends_of_sentences_costs_a_bounded_look(piece: str) -> None:
    """They may all be one end, which is not known before something else comes."""
    came, seen = _looked_at(piece)
    assert came <= LONGEST + len(piece)
    assert seen <= LONGEST * LONGEST


@pytest.mark.parametrize("piece", [".", "?!", "。", "-", "\n", " "], ids=repr)
def test_an_answer_that_comes_at_once_is_looked_at_once(piece: str) -> None:
    """A program that prints its progress as dots has them read by the 64 KB: each dot was followed to the last one, and
    no chat was served meanwhile. Not to be told by a clock: it would take this test an hour."""
    assert not isinstance(first_sentence(piece * 1_000_000 + "a"), Ends)
