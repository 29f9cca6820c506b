"""The line of one account: what is asked when, and how "typing…" comes and goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from yizhan.model import Account, ChatId, InboundId, ReplyToken
from yizhan.platforms.ilink import IlinkPlatform
from yizhan.platforms.ilink.typing_signal import CHATS_KEPT, TICKET_LIVES_MS
from yizhan.ports import Answer, Chance, Clock, Lost, LostKind, Reply, Request

CHAT = ChatId("o9cq80user@im.wechat")


def ok(**fields: object) -> Answer:
    return Answer(200, {}, json.dumps({"ret": 0} | fields).encode())


def healthy(request: Request) -> Reply:
    return ok(typing_ticket="K") if request.call == "getconfig" else ok()


@pytest.fixture
def line(clock: Clock, chance: Chance, account: Account, scripted: Any) -> Callable[..., Any]:
    def made(script: Callable[[Request], Reply] = healthy, typing: bool = True) -> Any:
        http = scripted(script)
        return IlinkPlatform(http, clock, chance, typing=typing).transport(account), http

    return made


def statuses(http: Any) -> list[int]:
    return [json.loads(each.body)["status"] for each in http.asked if each.call == "sendtyping"]


async def test_line_is_announced_polled_and_ended(line: Callable[..., Any]) -> None:
    """Some servers deliver only to a bot that has said that it listens."""
    transport, http = line()
    await transport.open()
    await transport.receive("CiQ", 35_000)
    await transport.close(announce=True)
    await transport.close(announce=False)
    assert ["notifystart", "getupdates", "notifystop"] == http.calls()


async def test_typing_uses_one_ticket_for_many_calls(line: Callable[..., Any], clock: Clock) -> None:
    """A ticket per call would be two requests every few seconds and chat."""
    transport, http = line()
    for _ in range(3):
        await transport.typing(CHAT, None, True)
        await clock.sleep_ms(5_000)
    await transport.typing(CHAT, None, False)
    assert ["getconfig"] + 4 * ["sendtyping"] == http.calls()
    assert [1, 1, 1, 2] == statuses(http)


async def test_typing_is_shown_at_most_every_five_seconds(line: Callable[..., Any], clock: Clock) -> None:
    """Whoever answers may call as often as he likes."""
    transport, http = line()
    for _ in range(50):
        await transport.typing(CHAT, None, True)
        await clock.sleep_ms(100)
    assert [1] == statuses(http)


@pytest.mark.field("F82")
async def test_typing_ends_after_a_turn_that_outlives_the_ticket(
    line: Callable[..., Any], clock: Clock
) -> None:
    """After ten minutes the stop went out with a dead ticket and the phone showed "typing…" for ever."""
    transport, http = line()
    await transport.typing(CHAT, None, True)
    await clock.sleep_ms(TICKET_LIVES_MS + 160_000)
    await transport.typing(CHAT, None, False)
    assert ["getconfig", "sendtyping", "getconfig", "sendtyping"] == http.calls()
    assert [1, 2] == statuses(http)


async def test_typing_ends_with_a_fresh_ticket_where_the_old_one_is_refused(line: Callable[..., Any]) -> None:
    """The platform may drop a ticket sooner than we think."""
    refusals = iter([False, True, False])

    def moody(request: Request) -> Reply:
        return ok(ret=-2) if request.call == "sendtyping" and next(refusals) else healthy(request)

    transport, http = line(moody)
    await transport.typing(CHAT, None, True)
    await transport.typing(CHAT, None, False)
    assert ["getconfig", "sendtyping", "sendtyping", "getconfig", "sendtyping"] == http.calls()


async def test_typing_that_was_never_shown_is_not_ended(line: Callable[..., Any]) -> None:
    """No request without need."""
    transport, http = line()
    await transport.typing(CHAT, None, False)
    assert [] == http.calls()


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(200, {}, b'{"errcode":-14}'),
        Answer(200, {}, b'{"ret":-4,"errmsg":"GetTypingTicket rpc failed"}'),
        Answer(200, {}, b'{"ret":0}'),
        Answer(200, {}, b"<html>"),
        Answer(502, {}, b""),
    ],
)
async def test_chat_without_tickets_is_left_alone_for_longer_and_longer(
    line: Callable[..., Any], clock: Clock, trouble: Answer
) -> None:
    """A courtesy must not become a storm: an hour of trouble costs about ten requests."""
    transport, http = line(lambda _: trouble)
    for _ in range(3_600):
        await transport.typing(CHAT, None, True)
        await clock.sleep_ms(1_000)
    assert 8 <= len(http.asked) <= 12


@pytest.mark.field("F82")
async def test_typing_off_sends_nothing(line: Callable[..., Any]) -> None:
    """Some operators want no sign of the machine."""
    transport, http = line(typing=False)
    await transport.typing(CHAT, None, True)
    await transport.typing(CHAT, None, False)
    assert [] == http.calls()


async def test_end_that_overtakes_a_slow_start_comes_last(line: Callable[..., Any], account: Account) -> None:
    """Otherwise a quick answer leaves "typing…" below itself."""
    transport, http = line()
    token = ReplyToken(account.id, CHAT, InboundId("i"), "T", 0)
    showing = asyncio.create_task(transport.typing(CHAT, token, True))
    await asyncio.sleep(0)
    await transport.typing(CHAT, token, False)
    await showing
    assert [1, 2] == statuses(http)


async def test_chats_remembered_for_typing_are_bounded(line: Callable[..., Any]) -> None:
    """A year of strangers must not fill the memory."""
    transport, _ = line()
    for number in range(CHATS_KEPT + 50):
        await transport.typing(ChatId(f"{number}@im.wechat"), None, True)
    assert CHATS_KEPT == len(transport._signal._chats)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (ok(typing_ticket="K"), None),
        (ok(ret=-4, errmsg="GetTypingTicket rpc failed"), None),
        (ok(ret=-2, errmsg="ilink_user_id required"), None),
        (Answer(200, {}, b'{"errcode":-14,"errmsg":"session timeout"}'), LostKind.LOGIN),
        (Answer(200, {}, b"<html>"), LostKind.SERVER),
        (Answer(404, {}, b""), LostKind.SERVER),
    ],
)
async def test_probe_tells_whether_the_login_is_accepted_and_eats_no_messages(
    clock: Clock, chance: Chance, account: Account, scripted: Any, reply: Answer, kind: LostKind | None
) -> None:
    """`getupdates` as a connection test swallows what is waiting there."""
    http = scripted(lambda _: reply)
    found = await IlinkPlatform(http, clock, chance).probe(account)
    assert kind == (found.kind if isinstance(found, Lost) else None)
    assert ["getconfig"] == http.calls()


def test_host_is_the_scope_of_a_failed_connection(
    clock: Clock, chance: Chance, scripted: Any, make_account: Callable[..., Account]
) -> None:
    """One probe per host speaks for all accounts on it."""
    platform = IlinkPlatform(scripted(healthy), clock, chance)
    assert "idc7.example:8443" == platform.host(make_account(base_url="https://idc7.example:8443/x"))
    assert "" == platform.host(make_account(base_url="http://[broken"))
