"""Pure parts of reading an answer: the bound, the thoughts, the event stream. However the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan.agents.answer import TOO_LONG, AnswerText, ThoughtFilter
from yizhan.agents.sse import Event, EventStream, EventTooLong


def without_thoughts(*pieces: str) -> str:
    thoughts = ThoughtFilter()
    return "".join([thoughts.feed(piece) for piece in pieces]) + thoughts.end()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain", "plain"),
        ("<think>hm</think>yes", "yes"),
        ("  \n<think>hm\n</think>\n\nyes", "\n\nyes"),
        ("<think>a</think><think>b</think>yes", "yes"),
        ("one\n<think>hm</think>two", "one\ntwo"),
        ("write `<think>` here", "write `<think>` here"),
        ("1 < 2\n<thin air", "1 < 2\n<thin air"),
        ("<think>never ends", ""),
        ("```xml\n<think>\nhm\n</think>\n```\nso", "```xml\n<think>\nhm\n</think>\n```\nso"),
        ("~~~\n```\n<think>a</think>\n~~~\n<think>b</think>so", "~~~\n```\n<think>a</think>\n~~~\nso"),
        ("```\ncode\n```\n<think>hm</think>so", "```\ncode\n```\nso"),
        ("`` `\n<think>hm</think>so", "`` `\nso"),
        ("<think>```\n</think>so\n<think>hm</think>", "so\n"),
        ("</think>stray", "</think>stray"),
        ("", ""),
    ],
)
def test_thoughts_are_taken_out_and_mentions_kept(text: str, said: str) -> None:
    """The chat reads the answer, all of it, and nothing but it."""
    assert said.strip() == without_thoughts(text).strip()


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "think", ">", "\n", "\n```\n", "`", " ", "a", "好"]),
        max_size=12,
    ),
    st.data(),
)
def test_cutting_a_stream_changes_nothing(words: list[str], data: st.DataObject) -> None:
    """Tokens end anywhere; what is said must not depend on it."""
    text = "".join(words)
    at = data.draw(st.integers(0, len(text)))
    assert without_thoughts(text) == without_thoughts(text[:at], text[at:]) == without_thoughts(*text)


@given(st.text("ab \n", max_size=60), st.integers(1, 20))
def test_bound_holds_and_a_cut_is_always_marked(text: str, bound: int) -> None:
    """Never longer than asked for, never shorter in silence."""
    answer = AnswerText(bound, "en")
    said = "".join([answer.add(piece) for piece in text]) + answer.end()
    cut = len(text.lstrip()) > bound
    assert cut == answer.full
    assert (f"{text.lstrip()[:bound].rstrip()}\n\n{TOO_LONG['en']}" if cut else text.strip()) == said


@given(st.text("a \n", max_size=30), st.data())
def test_what_is_said_early_is_never_taken_back(text: str, data: st.DataObject) -> None:
    """The chat may see the beginning of an answer before its end: white space comes with what follows it."""
    at = data.draw(st.integers(0, len(text)))
    answer = AnswerText(100, "en")
    early = answer.add(text[:at])
    assert text[:at].strip() == early
    assert text.strip() == early + answer.add(text[at:]) + answer.end()


def events(stream: EventStream, *chunks: bytes) -> list[Event]:
    return [event for chunk in chunks for event in stream.feed(chunk)] + stream.end()


def test_comments_and_ids_are_passed_over() -> None:
    """Data and a name are asked for; several data lines are one event, and a name belongs to one."""
    text = b": hi\nevent: message\nid: 7\ndata: a\ndata:b\n\nevent: empty\n\n\nretry: 3\ndata\n\n"
    assert [Event(b"a\nb", b"message"), Event(b"")] == events(EventStream(1000), text)


@given(
    st.lists(st.sampled_from([b"data: x", b"data:", b":c", b"\n", b"\r\n", b"\r", b"y"]), max_size=12),
    st.data(),
)
def test_cutting_the_bytes_changes_no_event(parts: list[bytes], data: st.DataObject) -> None:
    """A CR LF may be torn apart by TCP."""
    text = b"".join(parts)
    at = data.draw(st.integers(0, len(text)))
    assert events(EventStream(1000), text) == events(EventStream(1000), text[:at], text[at:])


def test_an_event_without_end_is_refused() -> None:
    """In one line, and in many."""
    with pytest.raises(EventTooLong):
        EventStream(100).feed(b"data: " + b"x" * 200)
    with pytest.raises(EventTooLong):
        EventStream(100).feed(b"data: x\n" * 200)
