"""A bot that is in so many guilds that QQ divides them among several connections."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from stories.conftest import Says
from stories.qq_words import BOT, QqTale, on_qq
from yizhan.model import AccountState, Inbound, MessageState, Target
from yizhan_simulator.ledger import Effect

OF = 3


async def grows(tale: QqTale) -> None:
    """QQ tells the bot to divide its guilds; it connects anew. Each shard has a channel: `news 0` and so on."""
    tale.turn(shards=OF, shards_needed=OF, identify_spacing="strict")
    tale.world.qq.close(BOT, 4011, tale.true_ms)
    wanted, numbers = set(range(OF)), itertools.count()
    while wanted:
        name = f"some news {next(numbers)}"
        room = tale.world.qq.add_channel(name, ("Ann",), (BOT,))
        home = (int(room.guild_id) >> 22) % OF
        if home in wanted:
            wanted.remove(home)
            room.name = f"news {home}"
    await tale.until(lambda: tale.online, 60)
    await tale.passes(2)


async def heard(tale: QqTale) -> set[str]:
    """What was taken in, in any chat."""
    store = tale.station.gateway.store
    found: set[str] = set()
    for chat in (await store.chats(tale.account_id, None, 100)).rows:
        page = await store.timeline(Target(chat.account, chat.id), None, 100)
        found |= {row.text for row in page.rows if isinstance(row, Inbound)}
    return found


async def says_everywhere(tale: QqTale, text: str) -> set[str]:
    """Ann writes to the bot, and mentions it in a guild of each shard."""
    said = {f"{text} {number}" for number in range(OF)} | {f"{text} here"}
    for number in range(OF):
        tale.world.qq.say("Ann", f"{text} {number}", tale.true_ms, f"news {number}", at=True)
    tale.world.qq.say("Ann", f"{text} here", tale.true_ms)
    await tale.passes(2)
    return said


def test_a_bot_that_must_be_several_shards_becomes_them_one_after_another(home: Path) -> None:
    """Closed with 4011 for ever; or three sessions at once, and two of them refused."""

    @on_qq(Says("heard"))
    async def story(tale: QqTale) -> None:
        await grows(tale)
        assert AccountState.UP is (await tale.account()).state
        assert not tale.seen("qq.identify", "refused")
        assert await says_everywhere(tale, "hi") <= await heard(tale)
        await tale.passes(5)
        assert [["heard"]] * OF == [tale.phone(f"news {number}") for number in range(OF)]
        assert ["heard"] == tale.phone()

    story(home)


def test_a_shard_that_waits_for_its_next_attempt_makes_it_when_the_host_has_slept(home: Path) -> None:
    """The bot was up for the rest of the guilds, so that nobody hurried for these."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await grows(tale)
        tale.breaks("close", "qq.hello", code=4915, times=1)
        tale.world.qq.close(BOT, 4009, tale.true_ms, shard=1)
        await tale.passes(60)
        assert AccountState.BARRED is (await tale.account()).state
        tale.station.host.sleep(20_000)
        await tale.passes(10)
        assert AccountState.UP is (await tale.account()).state

    story(home)


@pytest.mark.parametrize("number", range(OF))
def test_while_one_shard_is_deaf_the_bot_is_not_up_and_the_others_go_on(home: Path, number: int) -> None:
    """ "Connected", said the status, and a third of the guilds was not heard."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await grows(tale)
        tale.breaks("hang", "qq.socket", between_s=(0, 300))
        tale.world.qq.close(BOT, 4009, tale.true_ms, shard=number)
        await tale.passes(60)
        shown = await tale.account()
        assert AccountState.DOWN is shown.state
        assert shown.reason is not None
        assert shown.reason.text.startswith(f"shard {number + 1} of {OF}: ")
        assert shown.next_attempt_at_ms
        said = await says_everywhere(tale, "meanwhile")
        deaf_to = {f"meanwhile {number}"} | ({"meanwhile here"} if number == 0 else set())
        assert said - deaf_to == said & await heard(tale), "the others are heard, and so at once"
        push = await tale.push("from a program")
        await tale.passes(2)
        delivered = MessageState.DELIVERED is (await tale.look(push)).state
        assert delivered == (number != 0), "persons belong to the first shard: without it nothing is sent"
        assert 2 <= len([each for each in tale.seen("qq.socket") if each.at_ms > tale.true_ms - 60_000])
        await tale.passes(240)
        await tale.until(lambda: tale.online, 75)
        await tale.passes(5)
        assert AccountState.UP is (await tale.account()).state
        assert said <= await heard(tale), "and what it missed is replayed"
        assert MessageState.DELIVERED is (await tale.look(push)).state

    story(home)


def test_the_sessions_of_all_shards_outlive_the_process(home: Path) -> None:
    """Each start burnt a session of each shard, and lost what was said meanwhile."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await grows(tale)
        said = await says_everywhere(tale, "before")
        begun = len(tale.seen("qq.identify"))
        await tale.station.crash()
        said |= await says_everywhere(tale, "while it was dead")
        await tale.start()
        await tale.until(lambda: tale.online, 30)
        await tale.passes(5)
        assert said <= await heard(tale)
        assert begun == len(tale.seen("qq.identify"))
        assert OF == len(tale.seen("qq.resume", Effect.ANSWERED.value))
        assert AccountState.UP is (await tale.account()).state

    story(home)


def test_what_a_new_session_heard_while_the_disk_was_full_outlives_a_resume_by_hand(home: Path) -> None:
    """One shard's news waited for the disk; another's new session, and what was said in it, went with the line."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await grows(tale)
        tale.breaks("slow", "qq.resume", delay_s=5)
        tale.breaks("slow", "qq.identify", delay_s=5)
        tale.world.qq.forget_sessions(BOT)
        tale.world.qq.close(BOT, 4009, tale.true_ms, shard=0)
        begun = len(tale.seen("qq.socket"))
        await tale.until(lambda: begun + 2 == len(tale.seen("qq.socket")), 60)
        tale.station.gate.full = True
        tale.world.qq.say("Ann", "news 1", tale.true_ms, "news 1", at=True)
        await tale.until(lambda: tale.online, 60)
        await tale.says("in the new session")
        tale.station.gate.full = False
        await tale.station.gateway.pause_account(tale.account_id, False)
        await tale.until(lambda: tale.online, 60)
        await tale.passes(5)
        assert {"news 1", "in the new session"} == await heard(tale)

    story(home)


def test_a_half_dead_shard_is_found_out_while_the_others_live(home: Path) -> None:
    """A heartbeat that is answered on one connection says nothing about another."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await grows(tale)
        tale.world.qq.mute(BOT, tale.true_ms, shard=1)
        said = await says_everywhere(tale, "said to a dead socket")
        assert not tale.online
        await tale.until(lambda: tale.online, 2.5 * 41.25)
        await tale.passes(2)
        assert said <= await heard(tale)

    story(home)


def test_an_outage_of_all_shards_ends_for_all_of_them(home: Path) -> None:
    """Three loops that each waited for themselves."""

    @on_qq()
    async def story(tale: QqTale) -> None:
        await grows(tale)
        begun = len(tale.seen("qq.identify"))
        tale.is_gone(1_800)
        await tale.passes(1_800)
        assert AccountState.DOWN is (await tale.account()).state
        await tale.until(lambda: tale.online, 75)
        await tale.passes(5)
        assert AccountState.UP is (await tale.account()).state
        assert begun == len(tale.seen("qq.identify")), "no session was lost"
        said = await says_everywhere(tale, "after")
        assert said <= await heard(tale)

    story(home)
