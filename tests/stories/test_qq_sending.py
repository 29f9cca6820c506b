"""What QQ permits, as its users found out: windows, counts, switches, quotas, forms, and keys for repeats."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from stories.conftest import Says
from stories.qq_words import BOT, QqTale, on_qq
from yizhan.model import Message, MessageClass, MessageState
from yizhan.ports import Later, MessageFilter, Piece, Question
from yizhan_simulator.ledger import Effect

LONG = "\n\n".join(f"paragraph {number}: " + "words " * 150 for number in range(9))
"""Nine parts under a bound of a thousand characters each."""
SMALL = {"delivery": {"allowance": {}, "part_max_chars": 1_000}}


@pytest.mark.field("F65")
@pytest.mark.field("F66")
def test_a_long_answer_uses_its_four_replies_and_the_rest_waits_for_the_next_word(home: Path) -> None:
    """The fifth part was sent as if nobody had asked, was refused, and the answer stopped there."""

    @on_qq(Says(LONG), **SMALL)
    async def story(tale: QqTale) -> None:
        tale.world.qq.room(BOT, "Ann")
        tale.changes("forbid")
        await tale.passes(1)
        await tale.says("tell me everything")
        await tale.passes(30)
        assert 4 == len(tale.sends())
        assert {Effect.SHOWN} == {record.effect for record in tale.sends()}
        (answer,) = [message for message in await all_messages(tale) if message.source == "turn"]
        assert MessageState.WAITING is answer.state
        tale.station.gateway.agent = None
        tale.world.qq.say("Ann", "go on", tale.true_ms)
        await tale.passes(30)
        tale.world.qq.say("Ann", "go on", tale.true_ms)
        await tale.passes(30)
        assert not [record for record in tale.sends() if record.effect is Effect.REFUSED]
        said = "".join(tale.phone())
        assert all(f"paragraph {number}:" in said for number in range(9))
        order = [said.index(f"paragraph {number}:") for number in range(9)]
        assert sorted(order) == order

    story(home)


async def all_messages(tale: QqTale) -> list[Message]:
    page = await tale.station.gateway.store.messages(MessageFilter(), None, 100)
    return list(page.rows)[::-1]


@pytest.mark.field("F66")
def test_parts_beyond_the_allowance_go_unasked_where_the_chat_takes_that(home: Path) -> None:
    """Every part carries the message it answers and a number; what is over goes as a message of its own."""

    @on_qq(Says(LONG), **SMALL)
    async def story(tale: QqTale) -> None:
        await tale.says("tell me everything")
        await tale.passes(60)
        assert ["paragraph"] * 9 == [text.split()[0] for text in tale.phone()]
        with_token = [record for record in tale.sends() if record.token]
        assert 4 == len(with_token)

    story(home)


@pytest.mark.field("F64")
def test_an_answer_after_its_window_is_tried_once_as_a_message_that_nobody_asked_for(home: Path) -> None:
    """Three tries with the same dead message, then silence: a long job in a group was never answered."""

    @on_qq(Says("done at last", takes_s=400), turns={"ack_before_s": 0})
    async def story(tale: QqTale) -> None:
        tale.group("Ann", "Bob")
        await tale.says("do it", to="friends", at=True)
        await tale.passes(420)
        assert ["done at last"] == tale.phone("friends")
        assert 1 == len(tale.sends()), "the window is known, nothing is tried in vain"

    story(home)


@pytest.mark.field("F64")
def test_a_group_hears_in_time_that_an_answer_takes_longer_than_it_may(home: Path) -> None:
    """Five minutes of silence look like no answer; one sentence in time goes as an answer, and the answer follows."""

    @on_qq(Says("done at last", takes_s=400), language="en")
    async def story(tale: QqTale) -> None:
        tale.group("Ann", "Bob")
        await tale.says("do it", to="friends", at=True)
        await tale.passes(280)
        (patience,) = tale.phone("friends")
        assert patience.startswith("Still working on it.")
        assert [True] == [bool(record.token) for record in tale.sends()]
        await tale.passes(160)
        assert [patience, "done at last"] == tale.phone("friends")

    story(home)


@pytest.mark.field("F64")
def test_a_group_hears_in_time_that_its_question_still_waits_for_a_worker(home: Path) -> None:
    """The agents were busy elsewhere: the group's five minutes went by without a word before its turn had begun."""

    @on_qq(Says("done at last", takes_s=400), language="en", turns={"workers": 1})
    async def story(tale: QqTale) -> None:
        tale.group("Ann", "Bob")
        await tale.says("keep busy")
        await tale.says("do it", to="friends", at=True)
        await tale.passes(280)
        (patience,) = tale.phone("friends")
        assert patience.startswith("Still working on it.")
        await tale.passes(560)
        assert [patience, "done at last"] == tale.phone("friends")

    story(home)


class Announces(Says):
    """An agent that says at once that its answer will come through our API."""

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        self.asked.append(question.in_reply_to)
        yield Later()


@pytest.mark.field("F64")
@pytest.mark.parametrize("crash", [False, True])
def test_a_group_hears_in_time_that_an_announced_answer_is_still_to_come(home: Path, crash: bool) -> None:
    """The agent had hung up long ago, so nobody watched the group's five minutes any more."""
    agent = Announces()

    @on_qq(agent, language="en")
    async def story(tale: QqTale) -> None:
        group = tale.group("Ann", "Bob")
        await tale.says("do it", to="friends", at=True)
        await tale.passes(60)
        if crash:
            await tale.station.restart()
        await tale.passes(220)
        (patience,) = tale.phone("friends")
        assert patience.startswith("Still working on it.")
        await tale.push("done at last", group, in_reply_to=agent.asked[0], klass=MessageClass.REPLY)
        await tale.passes(200)
        assert [patience, "done at last"] == tale.phone("friends")

    story(home)


@pytest.mark.field("F64")
@pytest.mark.field("F69")
@pytest.mark.parametrize("code", [40034005, 40034024, 40034128])
def test_a_refusal_that_is_meant_for_ever_is_not_tried_three_times(home: Path, code: int) -> None:
    """Words were compared, codes were not, and each permanent refusal cost four requests."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        tale.breaks("refuse", "qq.send.c2c", code=code, times=1)
        await tale.push("once")
        await tale.passes(30)
        assert ["once"] == tale.phone()
        assert 2 == len(tale.sends()), "one refusal, and one message that nobody asked for"

    story(home)


@pytest.mark.field("F69")
@pytest.mark.parametrize("code", [11255, 40034006, 40034101, 40054007, 50006, 99999])
def test_what_never_passes_is_a_dead_letter_after_one_request(home: Path, code: int) -> None:
    """A chat that is gone was knocked at for days."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        tale.breaks("refuse", "qq.send.c2c", code=code)
        push = await tale.push("never")
        await tale.passes(120)
        dead = await tale.look(push)
        assert MessageState.FAILED is dead.state
        assert dead.reason is not None
        assert dead.reason.text
        assert 1 == len(tale.sends())

    story(home)


@pytest.mark.field("F67")
def test_a_lost_answer_is_asked_for_with_the_same_number_and_a_repeat_is_the_receipt(home: Path) -> None:
    """Numbers drawn at random collided, and turned each lost answer into a second message on the phone."""

    @on_qq(Says("only once"))
    async def story(tale: QqTale) -> None:
        tale.breaks("lost_answer", "qq.send.c2c", times=1)
        await tale.says("hi")
        await tale.passes(60)
        assert ["only once"] == tale.phone()
        (answer,) = await all_messages(tale)
        assert (MessageState.DELIVERED, True) == (answer.state, answer.possibly_doubled)
        first, second = tale.sends()
        assert first.token == second.token

    story(home)


@pytest.mark.field("F67")
def test_a_crash_between_request_and_answer_keeps_the_number(home: Path) -> None:
    """After a restart the counter began anew, and the repeat was another message."""

    @on_qq(Says("only once"))
    async def story(tale: QqTale) -> None:
        tale.breaks("hang", "qq.send.c2c", effect=True, times=1)
        await tale.says("hi")
        await tale.passes(3)
        await tale.restarts()
        await tale.passes(30)
        assert ["only once"] == tale.phone()
        assert [MessageState.DELIVERED] == [message.state for message in await all_messages(tale)]

    story(home)


@pytest.mark.field("F67")
def test_answers_go_on_counting_after_a_restart(home: Path) -> None:
    """The number of an answer was used again for another text: "duplicate", said QQ, and nobody saw the second one."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says("hi")
        for number in range(2):
            await tale.push(f"push {number}")
            await tale.passes(5)
        await tale.restarts()
        tale.breaks("hang", "qq.send.c2c", times=1)
        lost = await tale.push("push 2")
        await tale.passes(60)
        assert [f"push {number}" for number in range(3)] == tale.phone()
        assert MessageState.DELIVERED is (await tale.look(lost)).state
        assert not [record for record in tale.sends() if record.effect is Effect.REPEAT_DIFFERS]

    story(home)


@pytest.mark.field("F67")
def test_a_lost_answer_that_may_not_be_given_any_more_is_said_unasked(home: Path) -> None:
    """The repeat was refused, the next try took the same number, and what it met there was called a receipt."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says("hi")
        await tale.push("first")
        await tale.passes(5)
        tale.world.qq.spend_allowances(BOT)
        tale.breaks("hang", "qq.send.c2c", times=1)
        late = await tale.push("second")
        await tale.passes(60)
        assert ["first", "second"] == tale.phone()
        assert (MessageState.DELIVERED, True) == (
            (told := await tale.look(late)).state,
            told.possibly_doubled,
        )
        assert 3 == len([record for record in tale.sends() if record.text == "second"])

    story(home)


def test_a_push_whose_answer_was_lost_is_not_sent_twice(home: Path) -> None:
    """A message that nobody asked for has no key: the repeat would be another message."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.world.qq.room(BOT, "Ann")  # they know each other, and she has not written
        tale.breaks("lost_answer", "qq.send.c2c", times=1)
        await tale.says()
        tale.world.qq.expire_windows(BOT)
        await tale.passes(3_700)
        push = await tale.push("good morning")
        await tale.passes(120)
        assert MessageState.UNCONFIRMED is (await tale.look(push)).state
        assert 1 == len(tale.sends())
        await tale.push("and again")
        await tale.passes(5)
        assert ["good morning", "and again"] == tale.phone()

    story(home)


@pytest.mark.field("F67")
@pytest.mark.parametrize("scene", ["channel", "dm"])
def test_an_answer_in_a_guild_whose_receipt_was_lost_is_not_sent_twice(home: Path, scene: str) -> None:
    """Guilds count no answers: each repeat was another message on the screen, five of one."""

    @on_qq(Says("only once"))
    async def story(tale: QqTale) -> None:
        tale.world.qq.add_channel("news", ("Ann",), (BOT,))
        tale.breaks("lost_answer", f"qq.send.{scene}", times=1)
        if scene == "channel":
            await tale.says("hi", to="news", at=True)
        else:
            await tale.says("hi", scene="dm")
        await tale.passes(120)
        (answer,) = await all_messages(tale)
        assert (MessageState.UNCONFIRMED, True) == (answer.state, answer.possibly_doubled)
        assert 1 == len(tale.sends())
        await tale.says("hi again", **({"to": "news", "at": True} if scene == "channel" else {"scene": "dm"}))
        await tale.passes(5)
        assert [MessageState.DELIVERED, MessageState.UNCONFIRMED] == sorted(
            message.state for message in await all_messages(tale)
        )

    story(home)


@pytest.mark.field("F73")
def test_the_same_words_are_the_same_requests_whoever_sends_them(home: Path) -> None:
    """A scheduled message went another way: without Markdown, cut elsewhere, past the limits of the chat."""
    text = "# News\n\n- **one**\n- two\n\n" + "words " * 500

    @on_qq(Says(text))
    async def story(tale: QqTale) -> None:
        await tale.says("hi")
        await tale.passes(20)
        answer = tale.phone()
        assert len(answer) > 1
        await tale.push(text)
        await tale.passes(20)
        assert answer + answer == tale.phone()
        sends = [(record.call, record.text, record.detail) for record in tale.sends()]
        assert sends[: len(answer)] == sends[len(answer) :]

    story(home)


@pytest.mark.parametrize("trouble", ["no token", "token late", "answer late", "no sign", "both late"])
def test_a_send_takes_ten_seconds_at_most_whatever_is_slow_about_it(home: Path, trouble: str) -> None:
    """Token, request, another token and a sign of life, each with a patience of its own: 45 s, and the chat waited."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        await tale.passes(30)
        if trouble in ("no token", "token late", "both late"):
            kind = "hang" if trouble == "no token" else "slow"
            tale.breaks(kind, "qq.token", delay_s=6, between_s=(0, 60))
            tale.world.qq.expire_tokens(BOT)
        if trouble in ("answer late", "both late"):  # the first one refuses the token, and at once
            tale.breaks("slow", "qq.send.c2c", delay_s=8, between_s=(0, 60), skip=int(trouble == "both late"))
        if trouble == "no sign":
            tale.world.qq.mute(BOT, tale.true_ms)
        push = await tale.push("at last")
        await tale.passes(240)
        told = await tale.look(push)
        took_ms = [
            attempt.ended_at_ms - attempt.at_ms
            for entry in told.entries
            for attempt in entry.attempts
            if attempt.ended_at_ms is not None
        ]
        assert max(took_ms) <= 10_100
        assert not told.state.live
        assert 1 == len(tale.phone())

    story(home)


@pytest.mark.field("F68")
def test_a_chat_that_wants_no_pushes_gets_them_with_its_next_word_or_its_switch(home: Path) -> None:
    """Reminders never arrived, and each was refused again and again."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        await tale.passes(3_700)
        tale.changes("forbid")
        await tale.passes(1)
        pushes = [await tale.push(f"reminder {number}") for number in range(3)]
        await tale.passes(600)
        assert [] == tale.sends()
        assert "allowance" == (await tale.look(pushes[0])).waiting_for
        await tale.restarts()
        await tale.passes(10)
        assert [] == tale.sends(), "the switch outlives the process"
        tale.changes("allow")
        await tale.passes(10)
        assert [f"reminder {number}" for number in range(3)] == tale.phone()

    story(home)


@pytest.mark.field("F68")
@pytest.mark.parametrize("scene", ["friend", "group"])
def test_a_bot_that_was_removed_says_nothing_until_it_is_there_again(home: Path, scene: str) -> None:
    """The friend was gone, the group had thrown it out, and every reminder was refused and became a dead letter."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        group = tale.group("Ann", "Bob") if scene == "group" else ""
        to = "friends" if scene == "group" else ""
        await tale.says(to=to, at=bool(to))
        await tale.passes(3_700)
        tale.changes("remove", to)
        await tale.passes(1)
        push = await tale.push("reminder", group)
        await tale.passes(600)
        assert [] == tale.sends()
        assert "allowance" == (await tale.look(push)).waiting_for
        await tale.restarts()
        await tale.passes(10)
        assert [] == tale.sends(), "that it is gone outlives the process"
        tale.changes("add", to)
        await tale.passes(30)
        assert ["reminder"] == tale.phone(to or BOT)
        assert [MessageState.DELIVERED] == await tale.states(push)

    story(home)


@pytest.mark.field("F68")
def test_a_switch_that_nobody_told_us_of_is_learned_from_one_refusal(home: Path) -> None:
    """The event may have come while the bot was away."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        await tale.passes(3_700)
        tale.breaks("refuse", "qq.send.c2c", code=40034105)
        await tale.push("one")
        await tale.push("two")
        await tale.passes(7_200)
        assert 1 == len(tale.sends())
        tale.world.clear_weather()
        await tale.says("what is new?")
        await tale.passes(5)
        assert ["one", "two"] == tale.phone()

    story(home)


@pytest.mark.field("F68")
def test_a_channel_is_given_its_twenty_a_day_and_the_rest_waits_for_tomorrow(home: Path) -> None:
    """Quotas burnt on whatever came first."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        room = tale.world.qq.add_channel("news", ("Ann",), (BOT,))
        channel = f"{tale.account_id}:channel/{room.room_id.split(':')[1]}"
        pushes = [await tale.push(f"news {number}", channel) for number in range(22)]
        await tale.passes(300)
        assert 20 == len(tale.phone("news"))
        assert not [record for record in tale.sends() if record.effect is Effect.REFUSED]
        waiting = await tale.look(pushes[20])
        assert "allowance" == waiting.waiting_for
        assert waiting.next_attempt_at_ms is not None
        tale.station.host.sleep(waiting.next_attempt_at_ms - tale.true_ms - 120_000)  # a laptop, over night
        await tale.passes(90)
        assert 20 == len(tale.phone("news"))
        await tale.passes(90)
        assert 22 == len(tale.phone("news"))

    story(home)


@pytest.mark.field("F70")
def test_markdown_that_is_not_granted_is_plain_from_then_on(home: Path) -> None:
    """All replies were refused for the way they were dressed."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(markdown=False)
        await tale.says()
        await tale.push("# Heading\n\n- one\n- two")
        await tale.passes(5)
        assert ["# Heading\n\n- one\n- two"] == tale.phone()
        assert 2 == len(tale.sends())
        await tale.restarts()
        await tale.says("and now?")
        await tale.push("**second**")
        await tale.passes(5)
        assert "**second**" == tale.phone()[-1]
        assert 3 == len(tale.sends()), "remembered, also over a restart"

    story(home)


@pytest.mark.field("F71")
def test_links_that_are_not_allowed_are_defused_and_remembered(home: Path) -> None:
    """A bare domain was enough to lose the whole answer."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        await tale.push("see github.com/x and https://a.example/b?c=1")
        await tale.passes(5)
        assert ["see github。com/x and a。example/b?c=1"] == tale.phone()
        before = len(tale.sends())
        await tale.push("again: https://example.com")
        await tale.push("no link here, v1.2 is out")
        await tale.passes(5)
        assert before + 2 == len(tale.sends())
        assert ["again: example。com", "no link here, v1.2 is out"] == tale.phone()[1:]

    story(home)


@pytest.mark.field("F72")
def test_after_a_restart_a_group_is_still_a_group(home: Path) -> None:
    """The kind of chat was known to memory only, and a group's push went to the road of single chats."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        group = tale.group("Ann", "Bob")
        await tale.says("hello", to="friends", at=True)
        await tale.restarts()
        await tale.push("for everybody", group)
        await tale.passes(5)
        assert ["for everybody"] == tale.phone("friends")
        assert {"qq.send.group"} == {record.call for record in tale.sends()}

    story(home)


@pytest.mark.parametrize("event", ["documented", "both"])
def test_a_group_that_sends_everything_is_answered_when_it_asks_and_only_then(home: Path, event: str) -> None:
    """With "receive all messages" on, mentions come under another name, and bots went silent."""

    @on_qq(Says("yes?"))
    async def story(tale: QqTale) -> None:
        tale.turn(group_event=event)
        tale.group("Ann", "Bob", receive="all")
        await tale.says("lovely weather", "Bob", to="friends")
        await tale.says("bot, are you there?", to="friends", at=True)
        await tale.passes(10)
        assert ["yes?"] == tale.phone("friends")
        agent = tale.station.gateway.agent
        assert isinstance(agent, Says)
        assert ["bot, are you there?"] == agent.asked

    story(home)


def test_two_people_in_a_group_are_two_people(home: Path) -> None:
    """Names are empty or the same; the id of the member is who it is."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        group = tale.group("Ann", "Bob")
        await tale.says("yes", "Ann", to="friends", at=True)
        await tale.says("yes", "Bob", to="friends", at=True)
        target = await tale.station.gateway.resolve(group)
        page = await tale.station.gateway.store.timeline(target, None, 10)
        assert 2 == len({row.sender_id for row in page.rows})

    story(home)


def test_a_button_is_acknowledged_at_once_and_heard_as_a_word(home: Path) -> None:
    """A button spins until somebody says so, and its click may be answered without using up a message."""

    @on_qq(Says("approved"))
    async def story(tale: QqTale) -> None:
        await tale.says("hi")
        await tale.passes(5)
        tale.world.qq.press("Ann", BOT, "ok", "approve:42", tale.true_ms)
        await tale.passes(2)
        assert 1 == len(tale.seen("qq.interaction"))
        await tale.passes(5)
        agent = tale.station.gateway.agent
        assert isinstance(agent, Says)
        assert ["hi", "approve:42"] == agent.asked

    story(home)


@pytest.mark.parametrize(
    ("audit", "state"), [("pass", MessageState.DELIVERED), ("reject", MessageState.FAILED)]
)
def test_a_message_held_back_for_an_audit_ends_as_the_audit_does(
    home: Path, audit: str, state: MessageState
) -> None:
    """Accepted with 202 is not shown, and resending it is another message."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(audit=audit, audit_s=120)
        room = tale.world.qq.add_channel("news", ("Ann",), (BOT,))
        channel = f"{tale.account_id}:channel/{room.room_id.split(':')[1]}"
        held = await tale.push("held back", channel)
        await tale.passes(30)
        waiting = await tale.look(held)
        assert (MessageState.WAITING, "audit") == (waiting.state, waiting.waiting_for)
        await tale.restarts()
        await tale.passes(150)
        assert state is (await tale.look(held)).state
        assert 1 == len(tale.sends())

    story(home)


@pytest.mark.parametrize(
    ("audit", "state"), [("pass", MessageState.DELIVERED), ("reject", MessageState.FAILED)]
)
@pytest.mark.parametrize("audit_s", [0, 0.1, 2])
def test_an_audit_that_is_over_before_its_answer_is_here_ends_its_message(
    home: Path, audit_s: float, audit: str, state: MessageState
) -> None:
    """QQ said "passed" while its answer to the send was on the way: the message waited until it expired."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(audit=audit, audit_s=audit_s)
        room = tale.world.qq.add_channel("news", ("Ann",), (BOT,))
        channel = f"{tale.account_id}:channel/{room.room_id.split(':')[1]}"
        tale.breaks("slow", "qq.send.channel", delay_s=3, times=2)
        sent = [await tale.push(f"part {number}", channel) for number in range(3)]
        await tale.passes(30)
        assert [state] * 3 == await tale.states(*sent)
        assert 3 == len(tale.sends())

    story(home)


def test_a_message_whose_audit_is_never_told_is_unconfirmed_after_a_day(home: Path) -> None:
    """It "waited for QQ" for a week, and expired as if nobody had ever sent it."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        gateway = tale.station.gateway
        gateway.supervisor.keep("sweeper", gateway.outbound.expiry.run)
        tale.turn(audit="never")
        room = tale.world.qq.add_channel("news", ("Ann",), (BOT,))
        held = await tale.push("held back", f"{tale.account_id}:channel/{room.room_id.split(':')[1]}")
        await tale.passes(5)
        for hours in (20, 5):
            assert MessageState.WAITING is (await tale.look(held)).state
            tale.station.host.sleep(hours * 3_600_000)
            await tale.passes(65)
        told = await tale.look(held)
        assert (MessageState.UNCONFIRMED, "audit-unheard") == (told.state, told.reason and told.reason.code)

    story(home)


def test_a_channel_whose_messages_wait_for_an_audit_takes_more_of_them(home: Path) -> None:
    """Nobody at QQ looked at them on Sunday: after sixteen messages the channel was mute."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(audit="never")
        room = tale.world.qq.add_channel("news", ("Ann",), (BOT,))
        for number in range(18):
            await tale.push(f"held back {number}", f"{tale.account_id}:channel/{room.room_id.split(':')[1]}")
        await tale.passes(60)
        assert 18 == len(tale.sends())

    story(home)


def test_a_message_that_is_held_back_waits_for_the_audit_whatever_else_is_the_matter(home: Path) -> None:
    """It was with QQ, and the page said that the gateway would try it in ten seconds."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(audit="never")
        room = tale.world.qq.add_channel("news", ("Ann",), (BOT,))
        channel = f"{tale.account_id}:channel/{room.room_id.split(':')[1]}"
        held = await tale.push("held back", channel)
        await tale.passes(10)
        tale.breaks("refuse", "qq.send.channel", code=22009)
        limited = await tale.push("limited", channel)
        await tale.passes(1)
        assert "limit" == (await tale.look(limited)).waiting_for
        shown = await tale.look(held)
        assert ("audit", "304023", None) == (shown.waiting_for, shown.reason.code, shown.next_attempt_at_ms)
        tale.cut_off("the name cannot be resolved")
        await tale.passes(60)
        assert "audit" == (await tale.look(held)).waiting_for
        tale.cut_off("")

    story(home)


def test_a_message_that_is_cancelled_while_it_is_held_back_may_still_be_shown_and_says_so(home: Path) -> None:
    """Cancelled, said the gateway, and two minutes later it was on the screen."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(audit="pass", audit_s=120)
        room = tale.world.qq.add_channel("news", ("Ann",), (BOT,))
        held = await tale.push("held back", f"{tale.account_id}:channel/{room.room_id.split(':')[1]}")
        await tale.passes(30)
        await tale.station.gateway.cancel(held.id)
        await tale.passes(150)
        told = await tale.look(held)
        assert (MessageState.CANCELLED, True) == (told.state, told.possibly_doubled)
        assert ["held back"] == tale.phone("news")

    story(home)


def test_two_words_in_one_second_are_two_words(home: Path) -> None:
    """QQ tells time in seconds: the same person, the same second, the same "yes" are two messages by their ids."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.world.qq.say("Ann", "yes", tale.true_ms)
        tale.world.qq.say("Ann", "yes", tale.true_ms)
        await tale.passes(2)
        target = await tale.station.gateway.resolve(tale.ann)
        page = await tale.station.gateway.store.timeline(target, None, 10)
        assert ["yes", "yes"] == [row.text for row in page.rows]

    story(home)


def test_an_answer_that_crosses_with_the_end_of_the_connection_is_not_called_delivered(home: Path) -> None:
    """200 from a server that does not see the bot: nobody was shown anything."""

    @on_qq(Says("crossing"))
    async def story(tale: QqTale) -> None:
        tale.turn(while_offline="vanish")
        tale.breaks("slow", "qq.send.c2c", delay_s=5, times=1)
        tale.breaks("status", "qq.gateway_bot", between_s=(0, 30))
        tale.world.qq.say("Ann", "hi", tale.true_ms)
        await tale.passes(1)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(60)
        (answer,) = await all_messages(tale)
        assert MessageState.UNCONFIRMED is answer.state

    story(home)


@pytest.mark.parametrize(
    ("typing", "takes_s", "parts", "signs"),
    [(False, 10, 1, 0), (True, 10, 1, 1), (True, 1, 1, 0), (True, 40, 3, 1), (True, 40, 4, 1)],
)
def test_typing_is_shown_once_and_never_at_the_price_of_a_part_that_is_lost(
    home: Path, typing: bool, takes_s: float, parts: int, signs: int
) -> None:
    """A sign every five seconds used up the four answers, and the answer itself was refused."""
    texts = [f"part {number}" for number in range(parts)]

    @on_qq(Says(*texts, takes_s=takes_s), qq={"typing": typing})
    async def story(tale: QqTale) -> None:
        await tale.says("hi")
        await tale.passes(takes_s + 20)
        shown = [record for record in tale.sends() if record.detail == "typing"]
        assert signs == len(shown)
        assert "\n".join(texts).split() == " ".join(tale.phone()).split(), "what does not fit goes unasked"
        assert not [record for record in tale.sends() if record.effect is Effect.REFUSED]

    story(home)


def test_a_group_that_is_shown_no_typing_pays_for_none(home: Path) -> None:
    """Signs are of single chats; in a group one of five answers was spent on a sign that nobody could see."""

    @on_qq(Says("done", takes_s=10), qq={"typing": True})
    async def story(tale: QqTale) -> None:
        group = await tale.station.gateway.resolve(tale.group("Ann", "Bob"))
        await tale.says("hi", to="friends", at=True)
        await tale.passes(5)
        lane = tale.station.gateway.outbound.lanes.lane(group)
        assert lane is not None
        assert lane.ledger is not None
        assert 0 == lane.ledger.used, "nothing was sent yet"
        await tale.passes(15)
        assert ["done"] == tale.phone("friends")

    story(home)


def test_typing_is_left_out_where_the_answer_may_need_what_is_left(home: Path) -> None:
    """Of four answers two were spent: the third was a sign, and the fourth the half of an answer."""

    @on_qq(Says("done", takes_s=10), qq={"typing": True})
    async def story(tale: QqTale) -> None:
        tale.turn(c2c_replies=4)
        await tale.says("hi")
        await tale.passes(1)
        for number in range(2):
            await tale.push(f"so far {number}", klass=MessageClass.REPLY)
        await tale.passes(30)
        assert not [record for record in tale.sends() if record.detail == "typing"]
        assert "done" == tale.phone()[-1]

    story(home)
