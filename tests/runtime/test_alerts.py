"""What a person must know is told once, where he looks, and taken back when it is over."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from simulation.station import Station
from simulation.virtual import run
from yizhan.errors import StoreUnavailable
from yizhan.model import AccountId, Alert, AlertKind, Event, MessageClass, MessageState, Reason, WaitingFor
from yizhan_simulator import Fault, Limit, Outage
from yizhan_simulator.knobs import Refusal

MINUTE_S = 60


async def _talking(station: Station) -> tuple[AccountId, str]:
    """An account whose user has written and who may be written to as often as one likes."""
    station.world.turn(quota_per_inbound=0)
    ann = station.world.add_user("Ann")
    account = await station.link(ann)
    station.say(ann, "hi")
    await asyncio.sleep(2)
    return account, ann


async def _open(station: Station) -> dict[str, Alert]:
    return {alert.kind.value: alert for alert in (await station.gateway.alerts(True, None, 50)).rows}


def _told(station: Station) -> list[tuple[str, str]]:
    """Every alert event from here on, as (kind, state)."""
    told: list[tuple[str, str]] = []

    def listen(events: Any) -> None:
        for event in events:
            if event.type == "alert":
                shape = json.loads(event.data)["alert"]
                told.append((shape["kind"], shape["state"]))

    station.gateway.store.subscribe(listen)
    return told


def test_a_login_that_ended_is_an_alert_until_somebody_logs_in(home: Path) -> None:
    """Raised within seconds, there after a restart too, cleared by the new login; told twice in all."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, _ = await _talking(station)
            told = _told(station)
            station.world.revoke(account.split(":", 1)[1], station.clock.now_ms())
            await asyncio.sleep(MINUTE_S)
            alert = (await _open(station))["login_needed"]
            assert (account, "critical") == (alert.account, alert.severity.value)
            assert "yizhan login weixin" in alert.action
            await station.restart()
            told += [("restart", "")]
            told_again = _told(station)
            await asyncio.sleep(5 * MINUTE_S)
            assert alert.id == (await _open(station))["login_needed"].id
            await station.gateway.remove_account(account)
            await asyncio.sleep(MINUTE_S)
            assert {} == await _open(station)
            assert [("login_needed", "open"), ("restart", "")] == told
            assert [("login_needed", "cleared")] == told_again

    run(story())


def test_everything_is_sent_ok_and_the_phone_shows_nothing(home: Path) -> None:
    """Accepted without a receipt: never called delivered, alarm after three, the rest kept, and a replay when receipts
    come again."""

    async def story() -> None:
        ghosts = {"push_pause_s": 5, "push_pause_max_s": 60}
        async with Station(home, agent="none", delivery={"ghosts": ghosts}) as station:
            account, ann = await _talking(station)
            await station.push(account, ann, "first")  # this account gives receipts
            await asyncio.sleep(1)
            told = _told(station)
            station.world.turn(silent_drop=["*"])
            for number in range(30):
                await station.push(account, ann, f"push {number}")
            await asyncio.sleep(4)
            states = [message.state for message in await station.messages()]
            assert 3 == states.count(MessageState.UNCONFIRMED)
            alert = (await _open(station))["unconfirmed"]
            assert ("critical", 3) == (alert.severity.value, alert.count)

            waiting = await station.gateway.message((await station.messages())[-1].id)
            assert ("no-receipts", WaitingFor.LIMIT) == (waiting.reason.code, waiting.waiting_for)
            (gate,) = next(iter(await station.gateway.accounts())).gates
            assert (3, "chat") == (gate.ghosts, gate.scope)
            assert gate.ready_at_ms == waiting.next_attempt_at_ms

            await asyncio.sleep(5 * MINUTE_S)
            states = [message.state for message in await station.messages()]
            assert 8 <= states.count(MessageState.UNCONFIRMED) <= 12, (
                "one at a time, a minute apart in the end"
            )
            answer = await station.push(account, ann, "an answer", klass=MessageClass.REPLY)
            await asyncio.sleep(1)
            assert MessageState.UNCONFIRMED is (await station.gateway.message(answer.message.id)).state

            station.world.turn(silent_drop=[])
            await station.push(account, ann, "another answer", klass=MessageClass.REPLY)
            await station.until_quiet(120)
            await asyncio.sleep(MINUTE_S / 2)
            assert {} == await _open(station), "a receipt is the all-clear"
            assert [("unconfirmed", "open"), ("unconfirmed", "cleared")] == told
            unseen = [each for each in await station.messages() if each.state is MessageState.UNCONFIRMED]
            assert not set(station.shown(ann)) & {each.text for each in unseen}
            station.world.turn(client_id_dedupe=False)
            for message in unseen:
                await station.gateway.retry(message.id)
            await station.until_quiet(120)
            assert {each.text for each in unseen} <= set(station.shown(ann)), "the bodies were kept"
            assert all([(await station.gateway.message(each.id)).possibly_doubled for each in unseen])

    run(story())


def test_an_account_that_never_gave_a_receipt_alarms_nobody(home: Path) -> None:
    """Older servers answer `{}` when all is well."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            station.world.turn(success_shape="legacy")
            for number in range(10):
                await station.push(account, ann, f"push {number}")
            await station.until_quiet(60)
            await asyncio.sleep(MINUTE_S)
            assert {MessageState.UNCONFIRMED} == {message.state for message in await station.messages()}
            assert {} == await _open(station)

    run(story())


def test_a_refused_message_is_a_dead_letter_until_it_is_revived(home: Path) -> None:
    """It is listed with its reason, alarms, and comes alive under its old id."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            first = await station.push(account, ann, "first")
            await station.until_quiet(10)
            await _fail(station, account, ann, "refused for good")
            await asyncio.sleep(MINUTE_S / 2)
            (dead,) = [each for each in await station.messages() if each.state is MessageState.FAILED]
            alert = (await _open(station))["dead_letter"]
            assert (dead.id, dead.chat) == (alert.message, alert.chat)
            assert "refused for good" not in alert.text
            station.world.clear_weather()
            await station.gateway.retry(dead.id)
            await station.until_quiet(60)
            await asyncio.sleep(2 * MINUTE_S)
            assert {} == await _open(station)
            assert ["first", "refused for good"] == station.shown(ann)
            assert first.message.id != dead.id

    run(story())


async def _fail(station: Station, account: AccountId, user: str, text: str) -> None:
    """The platform refuses a message for good."""
    station.world.add_fault(Fault(kind="status", status=413), station.clock.now_ms())
    await station.push(account, user, text)


def test_a_message_that_waits_too_long_is_one_alert_however_many_there_are(home: Path) -> None:
    """The limit lasts for an hour; its reader gets one line, and one when it is over."""

    async def story() -> None:
        async with Station(
            home,
            agent="none",
            alerts={"waiting_s": 120, "limited_s": 300},
            delivery={"limiter": {"max_quiet_s": 62}},
        ) as station:
            account, ann = await _talking(station)
            told = _told(station)
            fault = station.world.add_fault(
                Fault(kind="refuse", refusal=Refusal(ret=-2, errmsg="rate limited")), station.clock.now_ms()
            )
            for number in range(10):
                await station.push(account, ann, f"push {number}")
            await asyncio.sleep(MINUTE_S)
            assert {} == await _open(station)
            await asyncio.sleep(1.5 * MINUTE_S)
            alert = (await _open(station))["waiting"]
            assert "10 messages have waited longer than 2 min." == alert.text
            await asyncio.sleep(4 * MINUTE_S)
            assert {"waiting", "limited"} == set(await _open(station))
            station.world.remove(fault)
            await asyncio.sleep(4 * MINUTE_S)
            assert {} == await _open(station)
            assert sorted(told) == sorted(
                (kind, state) for kind in ("waiting", "limited") for state in ("open", "cleared")
            )

    run(story())


def test_an_expired_message_is_told_also_while_its_chat_is_blocked(home: Path) -> None:
    """The limit does not open in time: it ends visibly, and the one behind it is still sent."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            now_ms = station.clock.now_ms()
            fault = station.world.add_fault(
                Fault(kind="refuse", refusal=Refusal(ret=-2, errmsg="rate limited")), now_ms
            )
            doomed = await station.push(account, ann, "news", expires_at_ms=now_ms + 120_000)
            late = await station.push(account, ann, "later")
            await asyncio.sleep(3 * MINUTE_S)
            ended = await station.gateway.message(doomed.message.id)
            assert (MessageState.EXPIRED, "expired") == (ended.state, ended.reason.code)
            assert ended.finished_at_ms - ended.expires_at_ms <= 5_000
            assert doomed.message.id == (await _open(station))["expired"].message
            station.world.remove(fault)
            await station.until_quiet(3_600)
            assert ["later"] == station.shown(ann)
            assert MessageState.DELIVERED is (await station.gateway.message(late.message.id)).state

    run(story())


@pytest.mark.parametrize("policy", ["hold", "drop_visibly"])
def test_a_crash_on_the_wire_is_not_resent_by_itself_where_that_was_chosen(home: Path, policy: str) -> None:
    """The bytes left, the process died: `hold` asks a person, `drop_visibly` ends it; neither says it twice."""

    async def story() -> None:
        async with Station(home, agent="none", delivery={"in_doubt": policy}) as station:
            account, ann = await _talking(station)
            station.world.add_fault(Fault(kind="slow", delay_s=5, times=1), station.clock.now_ms())
            accepted = await station.push(account, ann, "one")
            behind = await station.push(account, ann, "two")
            await asyncio.sleep(1)
            await station.restart()
            await asyncio.sleep(2 * MINUTE_S)
            message = await station.gateway.message(accepted.message.id)
            assert message.possibly_doubled
            assert 1 == station.shown(ann).count("one")
            if policy == "drop_visibly":
                assert MessageState.UNCONFIRMED is message.state
                assert ["one", "two"] == station.shown(ann)
                assert {} == await _open(station)
                return
            assert (MessageState.WAITING, WaitingFor.OPERATOR) == (message.state, message.waiting_for)
            assert ["one"] == station.shown(ann), "what is behind it waits too"
            assert message.id == (await _open(station))["in_doubt"].message
            await station.gateway.cancel(message.id)
            await station.until_quiet(60)
            await asyncio.sleep(MINUTE_S / 2)
            assert ["one", "two"] == station.shown(ann)
            assert MessageState.DELIVERED is (await station.gateway.message(behind.message.id)).state
            assert {} == await _open(station)

    run(story())


def test_an_outage_says_why_every_message_waits_and_since_when(home: Path) -> None:
    """Queued, before any attempt: it waits for the connection, says so, and the account's silence is an alert."""

    async def story() -> None:
        async with Station(home, agent="none", alerts={"account_down_s": 60}) as station:
            account, ann = await _talking(station)
            station.world.add_outage(Outage(from_s=0, to_s=3 * MINUTE_S), station.clock.now_ms())
            await asyncio.sleep(5)
            await station.push(account, ann, "one")
            accepted = await station.push(account, ann, "two")
            await asyncio.sleep(5)
            seen = await station.gateway.message(accepted.message.id)
            assert ("queued", WaitingFor.CONNECTION) == (seen.state, seen.waiting_for)
            assert "unreachable" == seen.reason.code
            await asyncio.sleep(1.5 * MINUTE_S)
            assert {"account_down"} == set(await _open(station))
            await asyncio.sleep(4 * MINUTE_S)
            assert {} == await _open(station)
            assert ["one", "two"] == station.shown(ann)

    run(story())


def test_a_store_that_takes_nothing_is_an_alert_and_forgets_none(home: Path) -> None:
    """The alert itself cannot be written then; it is shown from memory, and written when there is room."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            await _talking(station)
            store, told = station.gateway.store, _told(station)
            broken = True

            async def refuse(*_: object) -> None:
                raise StoreUnavailable("no room", "make some")

            note, store.note_alerts = store.note_alerts, refuse  # type: ignore[method-assign]
            writable, store.writable = (
                store.writable,
                lambda: Reason("disk-full", "no room") if broken else None,
            )  # type: ignore[method-assign]
            await asyncio.sleep(2 * MINUTE_S)
            assert {"store"} == set(await _open(station))
            assert [] == told
            broken, store.note_alerts = False, note  # type: ignore[method-assign]
            await asyncio.sleep(3 * MINUTE_S)
            store.writable = writable  # type: ignore[method-assign]
            assert {} == await _open(station)
            (kept,) = (await station.gateway.alerts(None, None, 9)).rows
            assert (AlertKind.STORE, False) == (kept.kind, kept.open)
            assert ("store", "cleared") == told[-1]

    run(story())


def test_a_paused_chat_says_so_and_goes_on_where_it_stopped(home: Path) -> None:
    """Pausing one chat holds its messages, not its neighbour's."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            bob = station.world.add_user("Bob")
            station.say(bob, "hi", account)
            await asyncio.sleep(2)
            chat = await station.gateway.resolve(f"{account}:{ann}")
            await station.gateway.pause_chat(chat, True)
            held = await station.push(account, ann, "one")
            await station.push(account, ann, "two")
            await station.push(account, bob, "for Bob")
            await asyncio.sleep(5)
            seen = await station.gateway.message(held.message.id)
            assert (WaitingFor.OPERATOR, "chat-paused") == (seen.waiting_for, seen.reason.code)
            assert (["for Bob"], []) == (station.shown(bob), station.shown(ann))
            await station.restart()
            await asyncio.sleep(5)
            assert [] == station.shown(ann), "a restart does not end a pause"
            await station.gateway.pause_chat(chat, False)
            await station.until_quiet(30)
            assert ["one", "two"] == station.shown(ann)

    run(story())


def test_two_thousand_messages_in_a_limit_window_cost_lines_by_the_minute_not_by_the_message(
    home: Path,
) -> None:
    """Two hundred chats behind one limit for five minutes: the log is readable, the tasks and the requests are bounded,
    nothing is lost."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            station.world.turn(quota_per_inbound=0, needs_inbound=False)
            users = [station.world.add_user(f"user {number}") for number in range(200)]
            account = await station.link(users[0])
            await asyncio.sleep(2)
            station.world.add_limit(Limit(count=5, per_s=20, scope="account"), station.clock.now_ms())
            with structlog.testing.capture_logs() as logged:
                for number in range(2_000):
                    await station.push(account, users[number % 200], f"message {number}")
                most_tasks = 0
                for _ in range(30):
                    await asyncio.sleep(10)
                    most_tasks = max(most_tasks, len(asyncio.all_tasks()))
            assert most_tasks <= 60, "a chat that waits costs no task"
            lines = [line for line in logged if line["log_level"] != "debug"]
            assert len(lines) <= 6 * 12, "at most a dozen lines a minute"
            summaries = [line for line in lines if line["event"] == "limited"]
            assert 3 <= len(summaries) <= 6
            assert summaries[-1]["waiting"] >= 1_500
            assert summaries[-1]["next_probe_at_ms"] > 0
            sends = station.world.ledger.select("sendmessage")
            assert len(sends) <= 5 * 60, "about what the limit lets through, not what waits"
            live = [message for message in await station.messages() if message.state.live]
            assert 2_000 == len(live) + sum(record.effect.value == "shown" for record in sends)

    run(story())


def test_every_alert_event_names_its_account_and_no_text(home: Path) -> None:
    """Programs filter by account; nobody reads messages over an alarm's shoulder."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            account, ann = await _talking(station)
            seen: list[Event] = []
            station.gateway.store.subscribe(
                lambda events: seen.extend(e for e in events if e.type == "alert")
            )
            await _fail(station, account, ann, "a very private text")
            await asyncio.sleep(MINUTE_S)
            (event,) = seen
            assert account == event.account
            assert b"private" not in event.data
            shape = json.loads(event.data)
            assert (account, f"{account}:{ann}") == (shape["account"], shape["chat"])

    run(story())
