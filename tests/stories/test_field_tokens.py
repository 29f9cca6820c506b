"""Reply tokens that are no longer honoured, and say so in the words of a limit (F12-F17)."""

from __future__ import annotations

import pytest

from tests.stories.conftest import LIMITED, Tale, in_virtual_time
from yizhan.core.contract import parse_time

WORDINGS = [LIMITED, "freq limit", "prepare failed", "unknown error", "invalid arguments", "", None]


def token_states(tale: Tale) -> list[str]:
    """With what token each send came to WeChat: fresh, expired, absent."""
    return [record.token_state for record in tale.requests("Ann")]


@pytest.mark.field("F12")
@in_virtual_time()
async def test_every_scheduled_push_fails_while_chatting_works(tale: Tale) -> None:
    """A quiet night, a dead token that is answered like a limit: one experiment, then every push passes at once."""
    await tale.ann_writes()
    tale.tokens_go_stale()
    first = await tale.push("good morning")
    await tale.passes(2)
    assert ("delivered", None) == await tale.state(first)
    assert ["expired", "absent"] == token_states(tale)
    await tale.push("it is nine o'clock")
    await tale.passes(2)
    assert ["good morning", "it is nine o'clock"] == tale.phone()
    assert ["expired", "absent", "absent"] == token_states(tale)


@pytest.mark.field("F12")
@in_virtual_time()
async def test_a_stale_token_neither_costs_a_window_nor_slows_the_neighbours(tale: Tale) -> None:
    """It was no limit: nobody waits for it."""
    await tale.ann_writes()
    await tale.writes("Bob")
    tale.tokens_go_stale()
    for number in range(5):
        await tale.push(f"for Ann {number}")
        await tale.push(f"for Bob {number}", to="Bob")
    await tale.passes(3)
    assert [f"for Ann {number}" for number in range(5)] == tale.phone()
    assert [f"for Bob {number}" for number in range(5)] == tale.phone("Bob")
    assert 2 == tale.refusals()
    assert [] == await tale.gates()


@pytest.mark.field("F13")
@pytest.mark.parametrize("words", WORDINGS, ids=[str(words) or "empty" for words in WORDINGS])
@in_virtual_time()
async def test_whatever_the_words_a_dead_token_is_found_out(tale: Tale, words: str | None) -> None:
    """Evidence tells, not the text: with it refused, without it taken."""
    await tale.ann_writes()
    tale.tokens_go_stale(words)
    await tale.push("good morning")
    await tale.passes(2)
    assert ["good morning"] == tale.phone()
    assert ["expired", "absent"] == token_states(tale)


@pytest.mark.field("F13")
@in_virtual_time()
async def test_a_dead_token_answered_like_a_dead_login_needs_no_new_login(tale: Tale) -> None:
    """-14 on a send while polls are answered: the conversation, not the account."""
    await tale.ann_writes()
    tale.tokens_go_stale("session timeout", code=-14)
    await tale.push("good morning")
    await tale.passes(2)
    assert ["good morning"] == tale.phone()
    (account,) = (await tale.api("GET", "/v1/accounts")).json()["items"]
    assert "up" == account["state"]


@pytest.mark.field("F14")
@in_virtual_time()
async def test_refused_with_and_without_token_it_waits_for_the_user(tale: Tale) -> None:
    """Two requests, then a sentence for the operator, then the user's next message brings everything."""
    await tale.ann_writes()
    await tale.writes("Bob")
    tale.wechat_refuses(words="invalid arguments", code=-3, who="Ann")
    await tale.push("for Bob", to="Bob")
    await tale.passes(1)
    waiting = await tale.push("report of the night")
    await tale.passes(1)
    await tale.push("for Bob again", to="Bob")
    await tale.passes(120)
    assert 2 == len(tale.requests("Ann"))
    assert ("waiting", "user") == await tale.state(waiting)
    again_ms = parse_time((await tale.message(waiting))["next_attempt_at"])
    assert 3_000_000 < again_ms - tale.now_ms, "rarely; what counts is the user's next message"
    tale.world.clear_weather()
    await tale.ann_writes("anything new?")
    await tale.passes(2)
    assert ["report of the night"] == tale.phone()


@pytest.mark.field("F15")
@in_virtual_time()
async def test_pushes_go_on_after_a_restart(tale: Tale) -> None:
    """The token of a conversation lies in the store, not in a process."""
    await tale.ann_writes()
    await tale.dies()
    await tale.push("good morning")
    await tale.passes(2)
    assert ["good morning"] == tale.phone()
    assert ["fresh"] == token_states(tale)


@pytest.mark.field("F16")
@in_virtual_time()
async def test_a_token_known_to_be_dead_stays_dead_after_a_restart(tale: Tale) -> None:
    """What was learned once is not learned again after every start."""
    await tale.ann_writes()
    tale.tokens_go_stale()
    await tale.push("good morning")
    await tale.passes(2)
    await tale.dies()
    await tale.push("still here")
    await tale.passes(2)
    assert ["good morning", "still here"] == tale.phone()
    assert ["expired", "absent", "absent"] == token_states(tale)


@pytest.mark.field("F16")
@in_virtual_time()
async def test_a_new_token_is_not_buried_with_the_old_one(tale: Tale) -> None:
    """The user writes while the old token is being found out: the newer one lives."""
    await tale.ann_writes()
    tale.tokens_go_stale()
    tale.wechat_answers("slow", skip=1, times=1, delay_s=4)  # the experiment's answer takes its time
    await tale.push("good morning")
    await tale.passes(1)
    await tale.ann_writes("hello?")
    await tale.passes(5)
    await tale.dies()
    await tale.push("still here")
    await tale.passes(2)
    assert ["good morning", "still here"] == tale.phone()
    assert ["expired", "absent", "fresh"] == token_states(tale)


@pytest.mark.field("F17")
@in_virtual_time()
async def test_the_second_part_goes_with_the_newest_token(tale: Tale) -> None:
    """The user writes during a long answer, and what was true when it began is true no more."""
    await tale.ann_writes()
    tale.wechat_answers("slow", times=1, delay_s=4)
    await tale.push("1" * 4_000 + "2" * 4_000, priority="reply")
    await tale.passes(1)
    tale.tokens_go_stale()
    await tale.ann_writes("and another thing")
    await tale.passes(6)
    assert ["1" * 4_000, "2" * 4_000] == tale.phone()
    assert 0 == tale.refusals()
    assert ["fresh", "fresh"] == token_states(tale)


@pytest.mark.field("F17")
@in_virtual_time()
async def test_a_message_that_has_waited_goes_with_the_newest_token(tale: Tale) -> None:
    """An hour in the queue is an hour of news."""
    await tale.ann_writes()
    await tale.push("good morning", not_before=tale.in_(60))
    await tale.passes(10)
    tale.tokens_go_stale()
    await tale.ann_writes("hello?")
    await tale.passes(60)
    assert ["good morning"] == tale.phone()
    assert ["fresh"] == token_states(tale)
