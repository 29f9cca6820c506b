"""Lines: the state shown is the truth, no failure is a hot loop, and none is the last."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulation.station import SIM_URL, Station
from simulation.virtual import run
from tests.runtime.answers import Gated, ann_at, until, until_shown
from yizhan.errors import StoreBusy
from yizhan.model import Account, AccountId, AccountState, Credentials
from yizhan_simulator import Fault, Outage


async def _account(station: Station, account: AccountId) -> Account:
    return next(view.account for view in await station.gateway.accounts() if view.account.id == account)


@pytest.mark.field("F21")
def test_a_login_that_ended_says_so_after_one_check_and_waits_for_a_person(home: Path) -> None:
    """`-14` used to mean ten or sixty silent minutes, again and again."""

    async def story() -> None:
        async with Station(home) as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            await asyncio.sleep(2)
            station.world.revoke(account.split(":", 1)[1], station.clock.now_ms())
            await asyncio.sleep(10)
            shown = await _account(station, account)
            assert AccountState.LOGIN_NEEDED is shown.state
            assert "yizhan login weixin" in shown.action
            accepted = await station.push(account, ann, "waits")
            await asyncio.sleep(1)
            waiting = await station.gateway.message(accepted.message.id)
            assert ("queued", "login") == (waiting.state, waiting.waiting_for)
            polls = len(station.world.ledger.select("getupdates"))
            await asyncio.sleep(1_800)
            assert len(station.world.ledger.select("getupdates")) - polls <= 8, "slow probes, no hot loop"

    run(story())


@pytest.mark.field("F22")
def test_linked_elsewhere_is_told_by_name_and_the_new_login_takes_over(home: Path) -> None:
    """One person, one bot: the newer binding ends the older one within seconds."""

    async def story() -> None:
        async with Station(home) as station:
            ann = station.world.add_user("Ann")
            old = await station.link(ann)
            await asyncio.sleep(2)
            new = await station.link(ann)
            await asyncio.sleep(60)
            shown = await _account(station, old)
            assert (AccountState.LOGIN_NEEDED, "linked-elsewhere") == (shown.state, shown.reason.code)
            assert new in shown.reason.text
            assert AccountState.UP is (await _account(station, new)).state
            station.say(ann, "hi")
            await asyncio.sleep(3)
            assert ["hi"] == station.shown(ann)

    run(story())


@pytest.mark.field("F26")
@pytest.mark.field("F27")
@pytest.mark.parametrize("kind", ["status", "html", "truncated", "null", "list", "reset_before", "auth"])
def test_a_poll_that_fails_in_any_way_is_repeated_with_a_pause_and_heals(home: Path, kind: str) -> None:
    """Some loops slept only after exceptions, and asked as fast as the server could refuse."""

    async def story() -> None:
        async with Station(home) as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            await asyncio.sleep(2)
            station.world.turn(hold_ms=2_000)
            fault = Fault(kind=kind, call="getupdates", status=502, between_s=(0, 60))
            station.world.add_fault(fault, station.clock.now_ms())
            station.say(ann, "ping")
            before = len(station.world.ledger.select("getupdates"))
            await asyncio.sleep(50)
            assert AccountState.UP is not (await _account(station, account)).state
            assert len(station.world.ledger.select("getupdates")) - before <= 60
            await asyncio.sleep(660 if kind == "auth" else 30)
            assert AccountState.UP is (await _account(station, account)).state
            station.say(ann, "pong")
            await asyncio.sleep(3)
            assert "pong" in "\n".join(station.shown(ann))

    run(story())


@pytest.mark.field("F58")
def test_while_a_host_is_gone_one_probe_speaks_for_all_its_accounts(home: Path) -> None:
    """A hundred accounts must not knock a hundred times."""

    async def story() -> None:
        async with Station(home) as station:
            accounts = []
            for number in range(20):
                accounts.append(await station.link(station.world.add_user(f"user {number}")))
            await asyncio.sleep(3)
            began_ms = station.clock.now_ms()
            station.world.add_outage(Outage(to_s=100, kind="refuse"), began_ms)
            await asyncio.sleep(10)
            settled = len(list(station.world.ledger))
            await asyncio.sleep(80)
            probes = len(list(station.world.ledger)) - settled
            assert 40 <= probes <= 90, f"{probes} requests in 80 s for 20 accounts"
            await asyncio.sleep(15)
            states = {(await _account(station, account)).state for account in accounts}
            assert {AccountState.UP} == states

    run(story())


@pytest.mark.field("F90")
@pytest.mark.parametrize("accounts", [1, 3])
def test_an_outage_is_shown_as_down_with_the_next_attempt_ahead(home: Path, accounts: int) -> None:
    """A status that says "connected" while nobody can connect is how bots stay deaf for hours."""

    async def story() -> None:
        async with Station(home) as station:
            made = [
                await station.link(station.world.add_user(f"user {number}")) for number in range(accounts)
            ]
            await asyncio.sleep(3)
            station.world.add_outage(Outage(to_s=300, kind="refuse"), station.clock.now_ms())
            for _ in range(6):
                await asyncio.sleep(45)
                for account in made:
                    shown = await _account(station, account)
                    assert AccountState.DOWN is shown.state
                    assert shown.reason is not None
                    assert shown.next_attempt_at_ms >= station.clock.now_ms() - 1_000
            await asyncio.sleep(60)
            assert {AccountState.UP} == {(await _account(station, account)).state for account in made}

    run(story())


@pytest.mark.field("F25")
def test_a_push_refused_by_a_dead_login_goes_out_when_the_login_works(home: Path) -> None:
    """It used to be parked until somebody wrote, for a reason that was not true."""

    async def story() -> None:
        async with Station(home, agent="none") as station:
            ann = station.world.add_user("Ann")
            bot = station.world.add_bot(ann)
            station.world.turn(needs_inbound=False)
            wrong = Credentials(bot.token + "x", SIM_URL, user_id=ann)
            account, _ = await station.gateway.add_account("weixin", bot.bot_id, wrong)
            accepted = await station.push(account.id, ann, "are you there?")
            await asyncio.sleep(60)
            waiting = await station.gateway.message(accepted.message.id)
            assert ("login", None) == (waiting.waiting_for, waiting.next_attempt_at_ms)
            await station.gateway.add_account(
                "weixin", bot.bot_id, Credentials(bot.token, SIM_URL, user_id=ann)
            )
            await asyncio.sleep(5)
            assert ["are you there?"] == station.shown(ann)

    run(story())


def test_a_chat_that_waits_for_its_user_is_not_said_to_be_tried_again(home: Path) -> None:
    """`status` used to promise a next try, always about now, that never came."""

    async def story() -> None:
        async with Station(home) as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            await station.push(account, ann, "welcome")
            behind = await station.push(account, ann, "and one behind it")
            await asyncio.sleep(60)
            (view,) = await station.gateway.accounts()
            assert () == view.gates
            queued = await station.gateway.message(behind.message.id)
            assert ("waiting", "user") == (queued.state, queued.waiting_for)

    run(story())


def test_a_paused_account_promises_no_next_try(home: Path) -> None:
    """Its host was gone, and status went on to tell when it would be asked again."""

    async def story() -> None:
        async with Station(home) as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            await asyncio.sleep(2)
            station.world.add_outage(Outage(to_s=3_600), station.clock.now_ms())
            accepted = await station.push(account, ann, "are you there?")
            await asyncio.sleep(60)
            (view,) = await station.gateway.accounts()
            assert ["host"] == [gate.scope for gate in view.gates]
            await station.gateway.pause_account(account, True)
            await asyncio.sleep(60)
            (view,) = await station.gateway.accounts()
            assert ((), None) == (view.gates, view.account.next_attempt_at_ms)
            waiting = await station.gateway.message(accepted.message.id)
            assert ("operator", None) == (waiting.waiting_for, waiting.next_attempt_at_ms)

    run(story())


def test_a_pause_that_the_store_refuses_leaves_the_account_receiving(home: Path) -> None:
    """A 503 must mean that nothing happened, not that the account is deaf and called up."""

    async def story() -> None:
        async with Station(home) as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            await asyncio.sleep(2)
            set_paused = station.gateway.store.set_paused

            async def refuse(*_: object) -> Account:
                raise StoreBusy("too much is waiting for the disk", "try again")

            station.gateway.store.set_paused = refuse
            with pytest.raises(StoreBusy):
                await station.gateway.pause_account(account, True)
            station.gateway.store.set_paused = set_paused
            await asyncio.sleep(2)
            station.say(ann, "still there?")
            await asyncio.sleep(3)
            assert ["still there?"] == station.shown(ann)
            assert AccountState.UP is (await _account(station, account)).state

    run(story())


def test_a_paused_account_rests_and_goes_on_where_it_was(home: Path) -> None:
    """Nothing is sent, nothing is received, nothing is lost."""

    async def story() -> None:
        async with Station(home) as station:
            ann = station.world.add_user("Ann")
            account = await station.link(ann)
            await asyncio.sleep(2)
            await station.gateway.pause_account(account, True)
            station.say(ann, "said meanwhile")
            accepted = await station.push(account, ann, "pushed meanwhile")
            await asyncio.sleep(60)
            assert [] == station.shown(ann)
            assert AccountState.PAUSED is (await _account(station, account)).state
            assert "operator" == (await station.gateway.message(accepted.message.id)).waiting_for
            await station.gateway.pause_account(account, False)
            await asyncio.sleep(4)
            assert {"said meanwhile", "pushed meanwhile"} == set(station.shown(ann))

    run(story())


@pytest.mark.field("F82")
@pytest.mark.parametrize("ends", ["answer", "/stop"])
def test_typing_is_shown_while_the_agent_works_and_always_ends(home: Path, ends: str) -> None:
    """ "typing…" that never ends is a lie on the phone; for an answer that is there at once it is not worth showing."""

    async def story() -> None:
        agent = Gated()
        async with ann_at(home, answers=agent) as (station, ann, account):
            bot_id = account.split(":", 1)[1]

            def typing() -> bool:
                return bool(station.world.typing(ann, bot_id, station.clock.now_ms()))

            agent.release()
            station.say(ann, "hi")
            await until_shown(station, ann, "re: hi")
            assert not station.world.ledger.select("sendtyping")
            station.say(ann, "think")
            await until(typing)
            if ends == "/stop":
                station.say(ann, "/stop")
            agent.release()
            await until(lambda: not typing())
            await until(lambda: len(station.shown(ann)) == 2)

    run(story())


def test_a_stop_commits_what_was_read_and_says_goodbye(home: Path) -> None:
    """Deploys happen in the middle of everything."""

    async def story() -> None:
        station = Station(home)
        ann = station.world.add_user("Ann")
        await station.start()
        account = await station.link(ann)
        await asyncio.sleep(2)
        station.say(ann, "just before the deploy")
        await asyncio.sleep(0.1)
        await station.stop()
        assert station.world.ledger.select("msg/notifystop", bot_id=account.split(":", 1)[1])
        await station.start()
        await asyncio.sleep(3)
        assert ["just before the deploy"] == station.shown(ann)
        await station.stop()

    run(story())
