"""The one-function rooms: texts, the door, commands, phrases, delays."""

from __future__ import annotations

from string import Formatter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.backoff import backoff
from yizhan.core.commands import WITH_ARGUMENT, Command, argument_of, command_of
from yizhan.core.phrases import PHRASES, say
from yizhan.core.text import blank, clean, shorten
from yizhan.model import AccountState

bounded = settings(max_examples=40, deadline=None, derandomize=True)


# text


@bounded
@given(st.text())
def test_a_cleaned_text_can_be_stored_sent_and_cleaned_again(text: str) -> None:
    """NUL breaks one database, half a character breaks UTF-8."""
    cleaned = clean(text)
    assert "\x00" not in cleaned
    cleaned.encode()
    assert cleaned == clean(cleaned)


def test_cleaning_keeps_what_people_see() -> None:
    assert "a\tb\nc 好 👨‍👩‍👧‍👦" == clean("a\tb\nc 好 👨‍👩‍👧‍👦")
    assert "a\nb\nc" == clean("a\r\nb\rc")
    assert "ab" == clean("a\x00\x07\x1b\x7fb")
    assert "a\ufffdb" == clean("a\ud83db")
    assert "red ok [1] ]0;" == clean("\x1b[1;31mred\x1b(B\x1b[m \x1b]0;a title\x07ok [1] \x1b]0;\n")[:-1]
    assert "a😀\ufffdb" == clean("a\ud83d" + "\ude00\ude00b")


@pytest.mark.parametrize("text", ["", " \n\t", "\x00\x07", "\u200b\ufeff\u2060", "\u3000\u202e\u00ad"])
def test_what_has_no_width_is_no_message(text: str) -> None:
    assert blank(text)
    assert not blank(f"{text}字")
    assert not blank("\U0001fae8"), "an emoji that is younger than our tables"


@bounded
@given(st.text(), st.integers(1, 50))
def test_a_shortened_text_is_never_longer_than_allowed_and_shows_the_cut(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or short.endswith("…")


# commands


@pytest.mark.parametrize("command", list(Command))
def test_a_command_stands_alone_in_its_message(command: Command) -> None:
    word = " K7QM-2XPD" if command in WITH_ARGUMENT else ""
    assert command is command_of(f"  {command.value.upper()}{word}\n")
    assert word.strip() == argument_of(f"{command.value}{word}")
    assert command_of(f"{command.value} please do") is None
    assert command_of(f"say {command.value}") is None


@pytest.mark.parametrize("text", ["／stop", "／ｓｔｏｐ", "／STOP\u3000", "\u3000/Stop"])
def test_a_stop_typed_on_a_chinese_keyboard_stops(text: str) -> None:
    """It went to the agent as a question, behind the answer that it was to end."""
    assert Command.STOP is command_of(text)


def test_whoever_names_no_agent_is_told_who_there_is() -> None:
    assert Command.AGENTS is command_of("/use")


@pytest.mark.parametrize(
    "text", ["", "/", "/stopp", "stop", "/unknown", "请/stop", "/approve", "/use a b", "\\stop"]
)
def test_anything_else_is_no_command(text: str) -> None:
    assert command_of(text) is None


# phrases


def test_both_languages_have_the_same_sentences_with_the_same_blanks() -> None:
    """A sentence missing in one language is an error in front of a user."""
    blanks = {
        language: {
            name: sorted(blank for _, blank, _, _ in Formatter().parse(sentence) if blank)
            for name, sentence in sentences.items()
        }
        for language, sentences in PHRASES.items()
    }
    assert {"zh", "en"} == set(blanks)
    assert blanks["zh"] == blanks["en"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_command_is_explained_and_no_sentence_is_empty(language: str) -> None:
    assert all(command.value in say(language, "help") for command in Command)
    assert all(sentence.strip() for sentence in PHRASES[language].values())
    assert "7" in say(language, "status", state="up", running="no", waiting=7)


@pytest.mark.parametrize("state", list(AccountState))
def test_a_state_is_told_in_the_language_of_the_chat(state: AccountState) -> None:
    """People who read Chinese were told that their connection is "login_needed"."""
    assert not any(letter.isascii() for letter in say("zh", f"state_{state}"))
    assert "_" not in say("en", f"state_{state}")


# delays


@bounded
@given(
    st.integers(-5, 10**9), st.integers(1, 10_000), st.integers(1, 10**7), st.floats(0, 1, exclude_max=True)
)
def test_a_delay_is_between_half_and_all_of_its_step_and_never_beyond_the_cap(
    n: int, base_ms: int, cap_ms: int, jitter: float
) -> None:
    """No index that grows without bound: the millionth failure is computed like the tenth."""
    delay_ms = backoff(n, base_ms, cap_ms, jitter)
    full_ms = min(cap_ms, base_ms * 2 ** min(max(n, 1) - 1, 30))
    assert full_ms // 2 <= delay_ms <= full_ms


def test_the_thousandth_failure_waits_no_longer_than_the_cap() -> None:
    """A day of trouble must not become a week of silence."""
    assert 60_000 >= backoff(1_000, 1_000, 60_000, 0.999)


def test_delays_double() -> None:
    assert [500, 1_000, 2_000, 4_000, 5_000, 5_000] == [backoff(n, 1_000, 10_000, 0.0) for n in range(1, 7)]
