"""What an operator does with turns: finds them, runs them again, stops them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from simulation.station import Station
from simulation.virtual import in_virtual_time
from tests.runtime.answers import Gated, ann_at, turns_of, until, until_shown
from yizhan.errors import InvalidRequest, TurnEnded, TurnOpen, UnknownTurn
from yizhan.model import TurnId, TurnState
from yizhan.runtime.repeats import Asked
from yizhan.web import create_app, shapes

KEY = "the-key-of-the-home"


def _client(station: Station) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(station.gateway, api_key=KEY, version="1"))
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers)


@in_virtual_time
async def test_an_operator_stops_a_running_turn_and_asks_again(home: Path) -> None:
    """The answer that ran away is ended from outside, and the question is not lost with it."""
    agent = Gated()
    async with ann_at(home, answers=agent) as (station, ann, account):
        station.say(ann, "hello")
        await until(lambda: agent.texts == ["hello"])
        (turn,) = await turns_of(station, account, ann)
        with pytest.raises(TurnOpen):
            await station.gateway.rerun(turn.id)
        stopped = await station.gateway.stop_turn(turn.id)
        assert (TurnState.STOPPED, "ended by an operator") == (stopped.state, stopped.reason.text)
        await until(lambda: agent.gone == 1)
        with pytest.raises(TurnEnded):
            await station.gateway.stop_turn(turn.id)
        agent.release(2)
        again = await station.gateway.rerun(turn.id)
        await until_shown(station, ann, "re: hello")
        assert ["hello", "hello"] == agent.texts
        assert turn.inbound_ids == again.inbound_ids
        states = [each.state for each in await turns_of(station, account, ann)]
        assert [TurnState.STOPPED, TurnState.DONE] == states


@in_virtual_time
async def test_two_operators_who_ask_again_at_once_ask_once(home: Path) -> None:
    """Both saw the same failed turn and pressed; the chat had two answers. Afterwards anybody may ask once more."""
    agent = Gated()
    async with ann_at(home, answers=agent) as (station, ann, account):
        station.say(ann, "hello")
        await until(lambda: agent.texts == ["hello"])
        (turn,) = await turns_of(station, account, ann)
        await station.gateway.stop_turn(turn.id)
        presses = [station.gateway.rerun(turn.id) for _ in range(2)]
        first, second = await asyncio.gather(*presses, return_exceptions=True)
        assert isinstance(second, TurnOpen)
        assert first.id in second.detail
        agent.release(3)
        await until_shown(station, ann, "re: hello")
        await until(lambda: agent.texts == ["hello", "hello"])
        await station.gateway.rerun(turn.id)
        await until(lambda: len(agent.texts) == 3)


@in_virtual_time
async def test_two_presses_of_the_same_rerun_ask_once(home: Path) -> None:
    """A program that repeats its request under the same key is told of the turn that it has opened."""
    agent = Gated()
    async with ann_at(home, answers=agent) as (station, ann, account):
        agent.release(5)
        station.say(ann, "hello")
        await until_shown(station, ann, "re: hello")
        (turn,) = await turns_of(station, account, ann)
        asked = Asked(f"rerun {turn.id}", "k", "")
        reruns = [station.gateway.rerun_once(turn.id, asked) for _ in range(2)]
        (one, new), (other, newer) = await asyncio.gather(*reruns)
        assert (one.id, {True, False}) == (other.id, {new, newer})
        await asyncio.sleep(30)
        assert ["hello"] * 2 == agent.texts


@in_virtual_time
async def test_a_turn_that_is_to_run_again_does_so_after_a_crash_too(home: Path) -> None:
    """The wish is a row before it is a deed."""
    agent = Gated()
    async with ann_at(home, answers=agent) as (station, ann, account):
        agent.release()
        station.say(ann, "hello")
        await until_shown(station, ann, "re: hello")
        (turn,) = await turns_of(station, account, ann)
        await station.gateway.rerun(turn.id)
        await station.restart()
        agent.release(5)
        await until_shown(station, ann, "re: hello", "re: hello")


@in_virtual_time
async def test_what_cannot_be_run_again_or_stopped_says_so(home: Path) -> None:
    """Wrong ids, and a gateway in which nobody answers any more."""
    async with ann_at(home) as (station, ann, account):
        station.say(ann, "hello")
        await until_shown(station, ann, "hello")
        (turn,) = await turns_of(station, account, ann)
        for verb in (station.gateway.rerun, station.gateway.stop_turn):
            with pytest.raises(UnknownTurn):
                await verb(TurnId("t_nobody"))
        await station.stop()
        station.settings = station.settings.model_copy(update={"agent": "none"})
        await station.start()
        with pytest.raises(InvalidRequest, match="Nobody answers"):
            await station.gateway.rerun(turn.id)


@in_virtual_time
async def test_a_turn_whose_messages_are_not_kept_any_more_says_so(home: Path) -> None:
    """The operator was told to set an agent, where one was set; nothing would have helped but to ask once more."""
    agent = Gated()
    async with ann_at(home, answers=agent, language="en") as (station, ann, account):
        station.say(ann, "hello")
        await until(lambda: agent.texts == ["hello"])
        agent.release()
        await until_shown(station, ann, "re: hello")
        await station.until_quiet()
        (turn,) = await turns_of(station, account, ann)
        assert turn.ended_at_ms is not None
        await station.gateway.store.prune(station.clock.now_ms(), turn.ended_at_ms, 0, 100)
        with pytest.raises(InvalidRequest, match="not kept any more") as refused:
            await station.gateway.rerun(turn.id)
        assert "asked in the chat again" in refused.value.fix
        station.say(ann, "/retry")
        await until_shown(station, ann, "re: hello", "There is no message to answer again.")


@in_virtual_time
async def test_turns_are_found_by_account_chat_state_and_time(home: Path) -> None:
    """The list that an operator looks through when somebody complains; its shape is in the schema."""
    agent = Gated()
    async with ann_at(home, answers=agent) as (station, ann, account):
        agent.release(2)
        for text in ("one", "two"):
            station.say(ann, text)
            await until(lambda text=text: station.shown(ann)[-1:] == [f"re: {text}"])
        station.say(ann, "three")
        await until(lambda: len(agent.asked) == 3)
        async with _client(station) as client:

            async def found(query: str) -> list[str]:
                page = (await client.get(f"/v1/turns?{query}")).json()
                shapes.TurnPage.model_validate(page)
                return [row["state"] for row in page["items"]]

            assert ["running", "done", "done"] == await found("")
            assert ["running"] == await found(f"state=running,queued&account={account}")
            assert ["done", "done"] == await found(f"state=done&chat={account}:{ann}")
            assert [] == await found("since=2100-01-01T00:00:00Z")
            assert [] == await found("account=weixin:other")
            first = (await client.get("/v1/turns?limit=2")).json()
            rest = (await client.get(f"/v1/turns?limit=2&cursor={first['next']}")).json()
            assert (2, 1, None) == (len(first["items"]), len(rest["items"]), rest["next"])
            shown = (await client.get(f"/v1/turns/{rest['items'][0]['id']}")).json()
            assert (f"{account}:{ann}", "gated", 1) == (shown["chat"], shown["agent"], shown["outputs"])
            wrong = await client.get("/v1/turns?state=lost")
            assert (422, "waiting") == (wrong.status_code, wrong.json()["fix"].split(", ")[2])
            stopped = await client.post(f"/v1/turns/{first['items'][0]['id']}/stop")
            assert (200, "stopped") == (stopped.status_code, stopped.json()["state"])
            again = await client.post(f"/v1/turns/{first['items'][0]['id']}/rerun")
            assert (201, "queued") == (again.status_code, again.json()["state"])
            assert 404 == (await client.get("/v1/turns/t_nobody")).status_code
