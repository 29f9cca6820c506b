"""Outages of QQ as their users told them: deaf bots, endless resumes, sockets dead on one side."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from stories.qq_words import BOT, QqTale, on_qq
from yizhan.core.contract import parse_time
from yizhan.errors import StoreUnavailable
from yizhan.model import Account, AccountState, MessageState
from yizhan_simulator import Fault

INTERVAL_S = 41.25
CAP_S = 75
"""The longest wait between two attempts: a minute, a fifth more by chance, and the attempt itself."""


def gaps_s(times_ms: list[int]) -> list[float]:
    return [(late - early) / 1_000 for early, late in itertools.pairwise(times_ms)]


HOURS_S = 4 * 3_600
OUTAGES: dict[str, Callable[[QqTale], None]] = {
    "no network": lambda tale: tale.is_gone(HOURS_S),
    "no names": lambda tale: tale.cut_off("the name cannot be resolved"),
    "no TLS": lambda tale: tale.cut_off("the TLS handshake failed"),
    "no address": lambda tale: tale.refuses_to_tell("qq.gateway_bot", "status", HOURS_S),
    "no tokens": lambda tale: tale.refuses_to_tell("qq.token", "status", HOURS_S),
}


@pytest.mark.field("F51")
@pytest.mark.field("F58")
@pytest.mark.parametrize("outage", list(OUTAGES))
def test_four_hours_without_a_network_are_attempted_through_and_end_with_it(home: Path, outage: str) -> None:
    """One branch without a bound and a log line: four hours deaf, and "connected" all the while."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says("before")
        tale.station.gateway.supervisor.drop(
            "watch"
        )  # looks for what a person should know, which is not the question
        before, told = len(tale.attempts_ms()), len(await tale.events("account.state"))
        OUTAGES[outage](tale)
        pushes = [await tale.push(f"push {number}") for number in range(5)]
        await tale.passes(120)
        for _ in range(HOURS_S // 600 - 1):
            shown = await tale.account()
            assert AccountState.DOWN is shown.state
            assert shown.reason is not None
            assert -1_000 <= (shown.next_attempt_at_ms or 0) - tale.true_ms <= CAP_S * 1_000, (
                "and when it is tried"
            )
            await tale.passes(600)
        await tale.passes(480)
        during = tale.attempts_ms()[before:]
        events = (await tale.events("account.state"))[told:]
        assert max(gaps_s(during)) <= CAP_S, "no quiet gap longer than the cap"
        assert max(gaps_s([parse_time(event["at"]) for event in events])) <= CAP_S, (
            "and none that nobody is told of"
        )
        assert HOURS_S / CAP_S <= len(during) <= 2 * (120 + HOURS_S / 15), "attempts as the policy has them"
        assert len(events) <= len(during) + 5, "one event for each attempt"
        tale.cut_off("")
        tale.world.qq.say("Ann", "while you were away", tale.true_ms)
        assert await tale.until(lambda: tale.online, CAP_S) <= CAP_S
        await tale.passes(10)
        assert [f"push {number}" for number in range(5)] == tale.phone()
        assert {MessageState.DELIVERED} == set(await tale.states(*pushes))
        assert ["before", "while you were away"] == await heard(tale)

    story(home)


@pytest.mark.field("F52")
@pytest.mark.field("F90")
@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("status", "qq.gateway_bot"),
        ("html", "qq.gateway_bot"),
        ("hang", "qq.gateway_bot"),
        ("reset_before", "qq.gateway_bot"),
        ("status", "qq.token"),
        ("html", "qq.token"),
        ("hang", "qq.token"),
        ("hang", "qq.socket"),
        ("status", "qq.socket"),
        ("silence", "qq.hello"),
        ("silence", "qq.identify"),
    ],
)
def test_no_step_of_connecting_is_the_last_that_is_tried(home: Path, kind: str, call: str) -> None:
    """The routine asked for the address, that one call failed, it logged and returned: nobody called it again."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.world.add_fault(Fault(kind=kind, call=call, between_s=(0, 600)), tale.true_ms)  # type: ignore[arg-type]
        tale.world.qq.expire_tokens(BOT)
        tale.world.qq.forget_sessions(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(1)
        tried = [len(tale.attempts_ms())]
        for _ in range(5):
            await tale.passes(120)
            tried.append(len(tale.attempts_ms()))
        assert all(late > early for early, late in itertools.pairwise(tried)), "tried in every two minutes"
        assert tried[-1] - tried[0] <= 600, "and no oftener than once a second"
        await tale.until(lambda: tale.online, CAP_S)
        await tale.passes(2)
        assert AccountState.UP is (await tale.account()).state

    story(home)


@pytest.mark.field("F53")
@pytest.mark.field("F89")
def test_a_connection_that_ends_at_once_again_and_again_is_no_hot_loop(home: Path) -> None:
    """A closed socket returned at once and reset the back-off: 78 minutes of full CPU."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.breaks("accept_close", "qq.identify", between_s=(0, 600))
        tale.breaks("close", "qq.resume", code=4006, between_s=(0, 600))
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        before = len(tale.station.sockets.attempts_ms)
        await tale.passes(600)
        assert len(tale.station.sockets.attempts_ms) - before <= 40, "ever slower, and not once a second"
        await tale.until(lambda: tale.online, CAP_S)

    story(home)


@pytest.mark.field("F54")
def test_a_socket_that_is_dead_on_one_side_is_replaced_within_two_and_a_half_heartbeats(home: Path) -> None:
    """Heartbeats went out, nobody counted the answers: 18 hours of silence."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.passes(200)
        tale.world.qq.mute(BOT, tale.true_ms)
        tale.world.qq.say("Ann", "said to a dead socket", tale.true_ms)
        took_s = await tale.until(lambda: tale.online, 2.5 * INTERVAL_S)
        assert took_s <= 2.5 * INTERVAL_S
        await tale.passes(2)
        assert ["said to a dead socket"] == await heard(tale)

    story(home)


async def heard(tale: QqTale) -> list[str]:
    """What was taken in, oldest first."""
    from yizhan.model import Inbound

    target = await tale.station.gateway.resolve(tale.ann)
    page = await tale.station.gateway.store.timeline(target, None, 100)
    return [row.text for row in reversed(page.rows) if isinstance(row, Inbound)]


@pytest.mark.field("F55")
def test_after_the_host_has_slept_the_line_is_looked_at_at_once(home: Path) -> None:
    """After closing the lid nothing worked until a restart."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.world.qq.mute(BOT, tale.true_ms)
        tale.station.host.sleep(600_000)
        assert await tale.until(lambda: tale.online, 15) <= 15

    story(home)


@pytest.mark.parametrize("longer_s", [0, 8])
def test_who_waits_for_his_next_attempt_makes_it_when_the_host_has_slept(home: Path, longer_s: int) -> None:
    """The trouble is over since the night, or once the laptop, opened in the morning, has found its network; and the
    bot waits for another minute."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        over_ms = tale.true_ms + HOURS_S * 1_000
        tale.refuses_to_tell("qq.gateway_bot", "status", HOURS_S)
        await tale.passes(1_800)
        tried = len(tale.attempts_ms())
        await tale.until(lambda: len(tale.attempts_ms()) > tried, CAP_S)
        await tale.passes(1)
        tale.station.host.sleep(over_ms - tale.true_ms - longer_s * 1_000)
        assert await tale.until(lambda: tale.online, longer_s + 15) <= longer_s + 15
        assert len(tale.attempts_ms()) - tried <= 15

    story(home)


@pytest.mark.parametrize("longer_s", [0, 8])
def test_a_host_that_could_not_be_reached_is_tried_when_ours_has_slept(home: Path, longer_s: int) -> None:
    """The network was there a moment after the lid was opened; the gateway looked for it every quarter of a minute."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.cut_off("the name cannot be resolved")
        await tale.passes(600)
        tried = len(tale.attempts_ms())
        await tale.until(lambda: len(tale.attempts_ms()) > tried, CAP_S)
        tale.station.host.sleep(HOURS_S * 1_000)
        await tale.passes(longer_s)
        tale.cut_off("")
        assert await tale.until(lambda: tale.online, 5) <= 5

    story(home)


@pytest.mark.field("F56")
@pytest.mark.parametrize("refusal", ["op9", "close", "silent"])
@pytest.mark.parametrize("code", [4006, 4902, 4903])
def test_a_dead_session_is_resumed_twice_at_most_then_a_new_one_begins(
    home: Path, refusal: str, code: int
) -> None:
    """Resume, refused, resume, refused: for hours, every 65 minutes."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(resume_refusal=refusal, resume_refusal_code=code)
        tale.world.qq.forget_sessions(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.until(lambda: tale.online, 30)
        assert len(tale.seen("qq.resume")) <= 2
        await tale.says("still there?")
        assert ["still there?"] == await heard(tale)

    story(home)


@pytest.mark.field("F57")
@pytest.mark.parametrize("recycle", ["op7", "4009", "op7 only", "1000", "1005", "1006"])
def test_what_is_said_while_the_connection_is_recycled_is_replayed(home: Path, recycle: str) -> None:
    """Every half an hour a few seconds without a session; what fell into them was gone."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(recycle=recycle, recycle_s=200)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(3)
        told = []
        for number in range(30):
            tale.world.qq.say("Ann", f"line {number}", tale.true_ms)
            told.append(f"line {number}")
            await tale.passes(30.1)
        assert told == (await heard(tale))[-len(told) :]
        assert 1 == len(tale.seen("qq.identify")), "a new session each time loses what was said between"
        assert len(tale.seen("qq.resume")) >= 3

    story(home)


def test_what_was_not_stored_when_the_process_died_is_told_again(home: Path) -> None:
    """The place in the session ran ahead of the store, and a crash lost every message between."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says("one")
        await tale.station.crash()
        for text in ("two", "three"):
            tale.world.qq.say("Ann", text, tale.true_ms)
        await tale.passes(20)
        await tale.start()
        await tale.passes(5)
        assert ["one", "two", "three"] == await heard(tale)
        assert 1 == len(tale.seen("qq.identify")), "the session outlives the process"

    story(home)


def test_a_pause_that_could_not_be_written_down_costs_no_session(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line was opened again where it had once begun: with a new session, and what was said meanwhile was lost."""

    async def refuses(*_: object) -> Account:
        raise StoreUnavailable("disk full", "")

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says("before")
        gateway, begun = tale.station.gateway, len(tale.seen("qq.identify"))
        monkeypatch.setattr(gateway.store, "set_paused", refuses)
        with pytest.raises(StoreUnavailable):
            await gateway.pause_account(tale.account_id, True)
        tale.world.qq.say("Ann", "meanwhile", tale.true_ms)
        await tale.until(lambda: tale.online, 30)
        await tale.passes(5)
        assert begun == len(tale.seen("qq.identify"))
        assert "meanwhile" in await heard(tale)

    story(home)


def test_a_line_that_is_ended_and_opened_on_a_full_disk_goes_on_where_it_was(home: Path) -> None:
    """It began again at the last place that had been stored, which led nowhere any more."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says("before")
        tale.station.gate.full = True
        tale.world.qq.forget_sessions(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.until(lambda: 2 == len(tale.seen("qq.identify")) and tale.online, 60)
        await tale.says("one")
        with pytest.raises(StoreUnavailable):
            await tale.station.gateway.remove_account(tale.account_id)
        tale.world.qq.say("Ann", "two", tale.true_ms)
        await tale.passes(30)
        tale.station.gate.full = False
        await tale.until(lambda: tale.online, 60)
        await tale.says("after")
        assert ["before", "one", "two", "after"] == await heard(tale)
        assert 2 == len(tale.seen("qq.identify"))

    story(home)


def test_a_replay_of_old_messages_is_recognised_long_after(home: Path) -> None:
    """A message of 9:05 came again at 9:11 and was answered twice; the memory of repeats was five minutes long."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says("yes")
        await tale.says("yes")
        await tale.passes(400)
        tale.world.qq.replay(BOT, 2, tale.true_ms)
        await tale.passes(2)
        assert ["yes", "yes"] == await heard(tale)

    story(home)


@pytest.mark.field("F59")
def test_op_7_and_the_close_after_it_make_one_new_connection(home: Path) -> None:
    """The session was queued twice, by the frame and by the close: two sockets fought for ever."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        before = len(tale.station.sockets.attempts_ms)
        tale.world.qq.ask_reconnect(BOT, tale.true_ms)
        await tale.passes(1)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(60)
        assert 1 == len(tale.station.sockets.attempts_ms) - before
        assert 1 == tale.station.sockets.alive()
        assert tale.online

    story(home)


@pytest.mark.field("F60")
@pytest.mark.parametrize("expires_in", ["text", "number"])
def test_access_tokens_are_renewed_in_their_last_minute_and_after_they_are_refused(
    home: Path, expires_in: str
) -> None:
    """Errors in HTTP 200, lifetimes as text, ten questions at once: "access token invalid" until a restart."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        tale.turn(expires_in=expires_in, token_ttl_s=300)
        tale.world.qq.expire_tokens(BOT)
        for number in range(40):
            await tale.push(f"push {number}")
            await tale.passes(60)
        tale.world.qq.expire_tokens(BOT)
        await tale.push("after it died early")
        await tale.passes(5)
        assert "after it died early" == tale.phone()[-1]
        assert 41 == len(tale.phone())
        assert len(tale.seen("qq.token")) <= 30, "asked when it is time, not with every send"

    story(home)


@pytest.mark.field("F61")
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("address", "IP whitelist"),
        ("secret", "client secret"),
        ("banned", "q.qq.com"),
        ("offline", "q.qq.com"),
    ],
)
def test_what_only_a_person_can_change_is_said_and_tried_slowly_until_it_is_changed(
    home: Path, what: str, words: str
) -> None:
    """A mistake in the settings was retried for ever as if it were the weather, and nobody was told which."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        bot = tale.world.qq.bot(BOT)
        right = bot.secret

        def broken(is_broken: bool) -> None:
            if what == "address":
                tale.turn(address_allowed=not is_broken)
            elif what == "secret":
                bot.secret = "another" if is_broken else right
            else:
                setattr(bot, what, is_broken)

        broken(True)
        tale.world.qq.expire_tokens(BOT)
        tale.world.qq.close(BOT, {"banned": 4915, "offline": 4914}.get(what, 4009), tale.true_ms)
        await tale.passes(90)
        shown = await tale.account()
        assert AccountState.BARRED is shown.state
        assert words in shown.action
        assert shown.action.endswith(f"yizhan account resume {tale.account_id} tries at once")
        before = len(tale.attempts_ms())
        await tale.passes(3_600)
        assert len(tale.attempts_ms()) - before <= 40, "slowly, a few requests every ten minutes"
        broken(False)
        await tale.until(lambda: tale.online, 700)
        await tale.passes(2)
        assert AccountState.UP is (await tale.account()).state

    story(home)


def test_who_has_mended_a_barred_bot_need_not_wait_for_the_next_look(home: Path) -> None:
    """What to run was said nowhere, and QQ is asked only every ten minutes."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.world.qq.bot(BOT).banned = True
        tale.world.qq.close(BOT, 4915, tale.true_ms)
        await tale.passes(90)
        assert AccountState.BARRED is (await tale.account()).state
        tale.world.qq.bot(BOT).banned = False
        await tale.station.gateway.pause_account(tale.account_id, False)
        assert await tale.until(lambda: tale.online, 30) <= 30

    story(home)


def test_the_alert_of_a_barred_bot_says_why_it_is_barred_now(home: Path) -> None:
    """The ban was lifted, the secret had been changed meanwhile, and the alert spoke of the ban."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        gateway, bot = tale.station.gateway, tale.world.qq.bot(BOT)
        bot.banned = True
        tale.world.qq.close(BOT, 4915, tale.true_ms)
        await tale.passes(30)
        (alert,) = await gateway.open_alerts()
        assert "banned" in alert.text
        bot.banned, bot.secret = False, "another"
        tale.world.qq.expire_tokens(BOT)
        await tale.until(lambda: "secret" in str(gateway.standing.known(tale.account_id).reason), 1_900)
        await tale.passes(3)
        (alert,) = await gateway.open_alerts()
        assert "secret" in alert.text

    story(home)


def test_an_intent_that_was_not_granted_costs_the_others_nothing(home: Path) -> None:
    """One missing permission closed every connection (4014); the groups went deaf for the guilds."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.world.qq.bot(BOT).intents = 1 << 25
        tale.world.qq.forget_sessions(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.until(lambda: tale.online, 60)
        await tale.says("do you hear me?")
        assert ["do you hear me?"] == await heard(tale)
        await tale.passes(30)
        (alert,) = await tale.station.gateway.open_alerts()
        assert "guild channels" in alert.text, "and a person is told what is not heard"

    story(home)


def test_when_one_address_of_qq_is_gone_the_other_is_used(home: Path) -> None:
    """For some bots the old address began to fail, and the new one worked: nobody looked there."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        tale.cut_off("the name cannot be resolved", "sim.example")
        tale.world.qq.expire_tokens(BOT)
        push = await tale.push("by the other way")
        await tale.until(lambda: tale.online, 300)
        await tale.passes(10)
        assert AccountState.UP is (await tale.account()).state
        assert [MessageState.DELIVERED] == await tale.states(push)
        tale.cut_off("the name cannot be resolved", "other.example")
        await tale.until(lambda: tale.online, 300)
        await tale.passes(20)
        assert AccountState.UP is (await tale.account()).state

    story(home)


def test_an_intent_that_is_granted_is_heard_of_soon_after_a_pause(home: Path) -> None:
    """The operator asked for the right, got it, and waited for a day, since a resumed session hears as little."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        bot = tale.world.qq.bot(BOT)
        everything, bot.intents = bot.intents, 1 << 25
        tale.world.qq.forget_sessions(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(60)
        assert await tale.station.gateway.open_alerts()
        bot.intents = everything
        await tale.passes(600)
        assert await tale.station.gateway.open_alerts(), "nobody has told us"
        await tale.station.gateway.pause_account(tale.account_id, True)
        tale.world.qq.say("Ann", "while it was paused", tale.true_ms)
        await tale.station.gateway.pause_account(tale.account_id, False)
        await tale.passes(120)
        assert not await tale.station.gateway.open_alerts()
        assert ["while it was paused"] == await heard(tale)
        assert 1 == tale.station.sockets.alive()

    story(home)


def test_a_bot_without_new_sessions_is_down_until_the_next_day_and_says_so(home: Path) -> None:
    """A start loop had burnt the day's sessions; the account looked a little unwell for the rest of it."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(identify_total=8)
        tale.world.qq.forget_sessions(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(10)
        shown = await tale.account()
        assert shown.reason is not None
        assert (AccountState.DOWN, "session-ration") == (shown.state, shown.reason.code)
        assert 20 * 3_600_000 < (shown.next_attempt_at_ms or 0) - tale.true_ms <= 24 * 3_600_000
        assert 1 == len(tale.seen("qq.identify")), "what is left is kept"

    story(home)


@pytest.mark.field("F62")
def test_nothing_is_sent_while_qq_does_not_see_the_bot(home: Path) -> None:
    """The API said 200 to a bot whose connection had ended, and showed the message to nobody."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        tale.turn(while_offline="vanish")
        tale.breaks("status", "qq.gateway_bot", between_s=(0, 120))
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(0.5)
        push = await tale.push("not into the void")
        await tale.passes(60)
        waiting = await tale.look(push)
        assert ("connection", []) == (waiting.waiting_for, tale.sends())
        await tale.passes(180)
        assert ["not into the void"] == tale.phone()

    story(home)


@pytest.mark.field("F63")
def test_a_quiet_day_is_no_reason_to_reconnect(home: Path) -> None:
    """A watchdog that looked for messages restarted every quiet channel, and lost some on the way."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(recycle="never")
        tale.world.qq.close(BOT, 4009, tale.true_ms)
        await tale.passes(2 * 3_600)
        assert 2 == len(tale.station.sockets.attempts_ms)
        assert AccountState.UP is (await tale.account()).state

    story(home)


@pytest.mark.field("F62")
def test_what_is_sent_over_a_socket_that_is_dead_on_one_side_is_not_called_delivered(home: Path) -> None:
    """Until a watchdog fires the bot believes in its connection, and QQ may show its messages to nobody."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        await tale.passes(60)
        sure = await tale.push("seen")
        await tale.passes(10)
        tale.world.qq.mute(BOT, tale.true_ms)
        await tale.passes(10)
        doubtful = await tale.push("perhaps seen")
        took_s = await tale.until(lambda: len(tale.seen("qq.resume")) > 0, 60)
        assert took_s <= 25, "a send that gets no sign finds the dead socket, long before the heartbeats do"
        await tale.passes(10)
        after = await tale.push("seen again")
        await tale.passes(10)
        assert [
            MessageState.DELIVERED,
            MessageState.UNCONFIRMED,
            MessageState.DELIVERED,
        ] == await tale.states(sure, doubtful, after)

    story(home)


@pytest.mark.field("F62")
@pytest.mark.parametrize("crosses", [False, True])
def test_what_is_sent_as_the_host_wakes_is_not_called_delivered_on_a_sign_of_yesterday(
    home: Path, crosses: bool
) -> None:
    """The lid opens, a program sends at once, and the last heartbeat looks a second old: it is hours old, and the
    connection has died meanwhile. So it is when the lid is closed while the request is on its way."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        tale.turn(while_offline="vanish")
        await tale.says()
        await tale.passes(0.3)  # the clock on the wall is looked at once a second
        if crosses:
            tale.breaks("slow", "qq.send.c2c", delay_s=0.5)
            doubtful = await tale.push("perhaps seen")
            await tale.passes(0.1)
        tale.world.qq.mute(BOT, tale.true_ms)
        tale.station.host.sleep(3_600_000)
        if not crosses:
            doubtful = await tale.push("perhaps seen")
        await tale.passes(30)
        assert [MessageState.UNCONFIRMED] == await tale.states(doubtful)
        assert tale.online

    story(home)


@pytest.mark.field("F62")
def test_many_sends_ask_for_few_signs(home: Path) -> None:
    """A heartbeat for each message would be too much haste (4008)."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await tale.says()
        await tale.passes(30)
        before = len(tale.seen("qq.heartbeat"))
        pushes = []
        for number in range(15):
            pushes.append(await tale.push(f"push {number}"))
            await tale.passes(0.5)
        await tale.passes(10)
        assert {MessageState.DELIVERED} == set(await tale.states(*pushes))
        assert len(tale.seen("qq.heartbeat")) - before <= 7

    story(home)
