"""Stories of logging in: each one is a login that some client lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from yizhan.model import Account
from yizhan.platforms.ilink.calls import Calls
from yizhan.platforms.ilink.login import TOTAL_MS, IlinkLogin
from yizhan.ports import (
    Absence,
    AbsenceKind,
    Answer,
    Chance,
    Clock,
    LoginStatus,
    NewLogin,
    Reply,
    Request,
)

GATEWAY = "https://login.example"
LOST = Absence(AbsenceKind.NO_ANSWER, "login.example: connection reset by peer")
CODE = {"ret": 0, "qrcode": "H", "qrcode_img_content": "https://liteapp.example/q/H"}
WAIT = {"ret": 0, "status": "wait"}
SCANNED = {"ret": 0, "status": "scaned"}
DIGITS = {"ret": 0, "status": "need_verifycode"}
EXPIRED = {"ret": 0, "status": "expired"}
CONFIRMED = {
    "ret": 0,
    "status": "confirmed",
    "bot_token": "b0f5860fdecb@im.bot:060000aa11",
    "ilink_bot_id": "b0f5860fdecb@im.bot",
    "baseurl": "https://idc7.example/",
    "ilink_user_id": "o9cq80user@im.wechat",
}


def as_reply(said: object) -> Reply:
    if isinstance(said, Absence | Answer):
        return said
    return Answer(200, {}, json.dumps(said).encode())


class Gateway:
    """Answers the login's calls one after the other; the last answer is repeated."""

    def __init__(self, said: Sequence[object]) -> None:
        self.said = list(said)
        self.asked: list[Request] = []

    async def call(self, request: Request) -> Reply:
        await asyncio.sleep(0)
        self.asked.append(request)
        return as_reply(self.said.pop(0) if len(self.said) > 1 else self.said[0])

    async def close(self) -> None:
        pass

    def tokens_listed(self) -> list[list[str]]:
        return [
            json.loads(each.body)["local_token_list"] for each in self.asked if each.call == "get_bot_qrcode"
        ]


Start = Callable[..., tuple[IlinkLogin, Gateway]]


@pytest.fixture
def start(clock: Clock, chance: Chance) -> Start:
    def begin(
        *said: object, known: Sequence[Account] = (), base: str = GATEWAY
    ) -> tuple[IlinkLogin, Gateway]:
        gateway = Gateway(said)
        return IlinkLogin(gateway, clock, Calls(chance), base, known), gateway

    return begin


async def confirmed(login: IlinkLogin) -> NewLogin:
    made = await login.run()
    assert isinstance(made, NewLogin), login.view()
    assert LoginStatus.CONFIRMED == login.view().status
    assert made.account == login.view().account
    return made


async def watched(login: IlinkLogin, status: LoginStatus) -> None:
    """Lets the login run until it shows that status."""
    for _ in range(1_000):
        if login.view().status is status:
            return
        await asyncio.sleep(0)
    raise AssertionError(login.view())


async def told(login: IlinkLogin, before: tuple[str, ...]) -> None:
    """Lets the login run until its note is a new one."""
    for _ in range(1_000):
        if login.view().note not in before:
            return
        await asyncio.sleep(0)
    raise AssertionError(login.view())


async def test_scan_and_confirm(start: Start) -> None:
    """The plain case."""
    login, gateway = start(CODE, WAIT, SCANNED, CONFIRMED)
    assert LoginStatus.WAIT == login.view().status
    made = await confirmed(login)
    assert "weixin:b0f5860fdecb@im.bot" == made.account
    assert "https://idc7.example" == made.credentials.base_url
    assert "o9cq80user@im.wechat" == made.credentials.user_id
    assert "b0f5860fdecb@im.bot:060000aa11" == made.credentials.secret
    assert "" == login.view().qr_text
    assert ["get_bot_qrcode"] + 3 * ["get_qrcode_status"] == [each.call for each in gateway.asked]


async def test_code_on_the_screen_is_the_landing_page(start: Start) -> None:
    """The handle alone cannot be scanned."""
    login, _ = start(CODE, SCANNED, WAIT)
    running = asyncio.create_task(login.run())
    await watched(login, LoginStatus.SCANNED)
    assert ("https://liteapp.example/q/H", 0) == (login.view().qr_text, login.view().refreshes)
    assert "liteapp" not in repr(login.view())
    running.cancel()


@pytest.mark.field("F93")
@pytest.mark.parametrize(
    "trouble",
    [
        LOST,
        Absence(AbsenceKind.NOT_SENT, "login.example: the name cannot be resolved"),
        Answer(524, {}, b""),
        Answer(200, {}, b"<html>"),
        Answer(200, {}, b""),
        {"ret": -1, "errmsg": "system error"},
        {"errcode": -14, "errmsg": "session timeout"},
        {"ret": 0, "status": "a status of next year"},
        {"ret": 0, "status": 7},
    ],
)
async def test_one_error_while_waiting_does_not_cancel_the_scan(start: Start, trouble: object) -> None:
    """One lost packet out of 240 polls ended the login although the code was scanned (chatgpt-on-wechat)."""
    login, _ = start(CODE, WAIT, trouble, trouble, SCANNED, trouble, CONFIRMED)
    await confirmed(login)


@pytest.mark.field("F24")
async def test_expired_code_is_replaced_twice_and_then_given_up(start: Start) -> None:
    """A code lives about two minutes, a person needs longer to find the phone; but not for ever."""
    login, gateway = start(CODE, EXPIRED, CODE, WAIT, EXPIRED, CODE, EXPIRED)
    assert await login.run() is None
    view = login.view()
    assert (LoginStatus.EXPIRED, 2) == (view.status, view.refreshes)
    assert "again" in view.note
    assert 3 == [each.call for each in gateway.asked].count("get_bot_qrcode")


async def test_second_code_can_be_confirmed(start: Start) -> None:
    """And the person is told that the picture has changed."""
    login, _ = start(
        CODE, EXPIRED, CODE | {"qrcode_img_content": "https://liteapp.example/q/2"}, SCANNED, WAIT
    )
    running = asyncio.create_task(login.run())
    await watched(login, LoginStatus.SCANNED)
    assert ("https://liteapp.example/q/2", 1) == (login.view().qr_text, login.view().refreshes)
    running.cancel()
    login, _ = start(CODE, EXPIRED, CODE, CONFIRMED)
    await confirmed(login)


@pytest.mark.parametrize("status", ["cancel", "verify_code_blocked"])
async def test_dead_code_is_replaced_with_a_word(start: Start, status: str) -> None:
    """Cancelled on the phone, or too many wrong digits: the next code, and why."""
    login, _ = start(CODE, {"status": status}, CODE, WAIT)
    running = asyncio.create_task(login.run())
    for _ in range(200):
        await asyncio.sleep(0)
        if login.view().refreshes:
            break
    assert 1 == login.view().refreshes
    assert "new" in login.view().note
    running.cancel()


@pytest.mark.field("F24")
async def test_digits_are_asked_for_and_sent_at_once(start: Start) -> None:
    """Since April 2026 the phone may show digits that have to be typed here."""
    login, gateway = start(CODE, DIGITS, SCANNED, CONFIRMED)
    running = asyncio.create_task(confirmed(login))
    await watched(login, LoginStatus.VERIFY_CODE)
    login.verify(" 12 34 ")
    await running
    assert [False, True, False] == ["verify_code=1234" in each.url for each in gateway.asked[1:]]


async def test_wrong_digits_are_said_to_be_wrong(start: Start) -> None:
    """The same status again is the only sign that the platform gives."""
    login, gateway = start(CODE, DIGITS, DIGITS, CONFIRMED)
    running = asyncio.create_task(confirmed(login))
    await watched(login, LoginStatus.VERIFY_CODE)
    first = login.view().note
    login.verify("1111")
    await told(login, (first, ""))
    assert "wrong" in login.view().note
    login.verify("")
    assert "Type the digits" in login.view().note
    login.verify("2222")
    await running
    assert "verify_code=2222" in gateway.asked[-1].url


async def test_digits_survive_a_lost_answer(start: Start) -> None:
    """A person types once; the network may need two tries."""
    login, gateway = start(CODE, DIGITS, LOST, CONFIRMED)
    running = asyncio.create_task(confirmed(login))
    await watched(login, LoginStatus.VERIFY_CODE)
    login.verify("1234")
    await running
    assert ["verify_code=1234" in each.url for each in gateway.asked[2:]] == [True, True]


async def test_digits_that_nobody_types_end_the_login_in_time(start: Start, clock: Clock) -> None:
    """Everything has a bound, also a person at lunch."""
    begun_ms = clock.now_ms()
    login, _ = start(CODE, DIGITS)
    assert await login.run() is None
    assert LoginStatus.EXPIRED == login.view().status
    assert TOTAL_MS == clock.now_ms() - begun_ms


async def test_digits_without_a_question_are_ignored(start: Start) -> None:
    """A form sent twice must not break the poll."""
    login, gateway = start(CODE, WAIT, CONFIRMED)
    login.verify("1234")
    await confirmed(login)
    assert not [each for each in gateway.asked if "verify_code" in each.url]


async def test_code_that_nobody_scans_ends_in_480_seconds(start: Start, clock: Clock) -> None:
    """With one question per second at most, also if the server answers at once."""
    begun_ms = clock.now_ms()
    login, gateway = start(CODE, WAIT)
    assert await login.run() is None
    assert TOTAL_MS == clock.now_ms() - begun_ms
    assert len(gateway.asked) <= TOTAL_MS / 1_000 + 2


@pytest.mark.field("F24")
async def test_other_data_centre_is_asked_from_then_on(start: Start) -> None:
    """A client that goes on asking the first host waits for ever."""
    moved = {"status": "scaned_but_redirect", "redirect_host": "idc7.example"}
    login, gateway = start(CODE, moved, WAIT, CONFIRMED | {"baseurl": ""})
    made = await confirmed(login)
    hosts = [each.url.split("/")[2] for each in gateway.asked]
    assert ["login.example", "login.example", "idc7.example", "idc7.example"] == hosts
    assert "https://idc7.example" == made.credentials.base_url


@pytest.mark.parametrize("host", ["", 7, "a b", "evil/../x", "user@evil.example", "ftp://idc7.example"])
async def test_redirect_to_nowhere_keeps_the_host(start: Start, host: object) -> None:
    """A missing field must not send the handle to a host made of nonsense."""
    login, gateway = start(CODE, {"status": "scaned_but_redirect", "redirect_host": host}, CONFIRMED)
    await confirmed(login)
    assert {"login.example"} == {each.url.split("/")[2] for each in gateway.asked}


@pytest.mark.parametrize(
    ("base", "host", "asked"),
    [
        ("https://login.example", "http://idc7.example", "https://idc7.example"),
        ("https://login.example", "idc7.example:8443", "https://idc7.example:8443"),
        ("http://127.0.0.1:99", "127.0.0.1:77", "http://127.0.0.1:77"),
        ("http://127.0.0.1:99", "http://127.0.0.1:77/", "http://127.0.0.1:77"),
        ("http://127.0.0.1:99", "http://elsewhere.example", "https://elsewhere.example"),
        ("http://sim.example", "http://sim.example", "http://sim.example"),
    ],
)
async def test_only_a_simulator_on_this_machine_may_speak_in_the_clear(
    start: Start, base: str, host: str, asked: str
) -> None:
    """The token travels to the address that the server names: in the clear it would be everybody's."""
    moved = {"status": "scaned_but_redirect", "redirect_host": host}
    login, gateway = start(CODE, moved, CONFIRMED | {"baseurl": ""}, base=base)
    made = await confirmed(login)
    assert gateway.asked[-1].url.startswith(asked + "/ilink/")
    assert asked == made.credentials.base_url


@pytest.mark.parametrize("baseurl", ["", None, "nonsense", "ftp://x", "https://user:pw@x", "javascript:1"])
async def test_useless_base_url_falls_back_to_the_login_host(start: Start, baseurl: object) -> None:
    """The field may be empty; the account must work all the same."""
    login, _ = start(CODE, CONFIRMED | {"baseurl": baseurl})
    assert GATEWAY == (await confirmed(login)).credentials.base_url


@pytest.mark.parametrize("missing", ["bot_token", "ilink_bot_id"])
@pytest.mark.parametrize("value", [None, "", 7])
async def test_confirmation_without_credentials_fails_with_a_word(
    start: Start, missing: str, value: object
) -> None:
    """Half a login stored would look like an account that is never up."""
    login, _ = start(CODE, CONFIRMED | {missing: value})
    assert await login.run() is None
    assert LoginStatus.FAILED == login.view().status
    assert missing in login.view().note


async def test_confirmation_without_the_person_is_good_enough(start: Start) -> None:
    """Credentials are released once; the person is only missed by the door."""
    login, _ = start(CODE, {name: value for name, value in CONFIRMED.items() if name != "ilink_user_id"})
    assert "" == (await confirmed(login)).credentials.user_id


async def test_known_tokens_are_listed_newest_first(
    start: Start, make_account: Callable[..., Account]
) -> None:
    """So that a second scan finds the first link instead of killing it."""
    known = [make_account(f"{number:012x}@im.bot", created_at_ms=number) for number in range(12)]
    login, gateway = start(CODE, CONFIRMED, known=known)
    await confirmed(login)
    (listed,) = gateway.tokens_listed()
    assert [known[number].credentials.secret for number in range(11, 1, -1)] == listed


async def test_stale_token_in_the_list_does_not_stop_the_login(
    start: Start, make_account: Callable[..., Account]
) -> None:
    """nanobot saw `-3`: the list is dropped and the code comes."""
    login, gateway = start({"ret": -3}, CODE, CONFIRMED, known=[make_account()])
    await confirmed(login)
    assert [1, 0] == [len(tokens) for tokens in gateway.tokens_listed()]


@pytest.mark.field("F24")
async def test_user_linked_already_finds_the_only_account(start: Start, account: Account) -> None:
    """A success without credentials: the old login goes on."""
    login, _ = start(CODE, SCANNED, {"status": "binded_redirect"}, known=[account])
    assert account.id == await login.run()
    view = login.view()
    assert (LoginStatus.ALREADY_LINKED, account.id) == (view.status, view.account)


@pytest.mark.parametrize(
    "hint", [{"ilink_bot_id": "0000000000b2@im.bot"}, {"ilink_user_id": "two@im.wechat"}]
)
async def test_user_linked_already_is_found_among_several(
    start: Start, make_account: Callable[..., Account], hint: dict[str, Any]
) -> None:
    """By the bot or by the person, whichever the answer names."""
    known = [
        make_account("0000000000a1@im.bot", user="one@im.wechat"),
        make_account("0000000000b2@im.bot", user="two@im.wechat"),
    ]
    login, _ = start(CODE, {"status": "binded_redirect"} | hint, known=known)
    assert known[1].id == await login.run()


async def test_user_linked_already_to_one_of_several_is_not_guessed(
    start: Start, make_account: Callable[..., Account]
) -> None:
    """Naming the wrong account would send the operator to the wrong phone."""
    known = [make_account("0000000000a1@im.bot"), make_account("0000000000b2@im.bot")]
    login, _ = start(CODE, {"status": "binded_redirect"}, known=known)
    assert await login.run() is None
    view = login.view()
    assert (LoginStatus.ALREADY_LINKED, None) == (view.status, view.account)
    assert known[0].id in view.note
    assert known[1].id in view.note


async def test_user_linked_to_somebody_unknown_fails_with_advice(start: Start) -> None:
    """Only the person can undo that link, on the phone."""
    login, _ = start(CODE, {"status": "binded_redirect"})
    assert await login.run() is None
    assert LoginStatus.FAILED == login.view().status
    assert "Remove the link" in login.view().note


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (Answer(200, {}, b"<html>router</html>"), "web page"),
        (Answer(404, {}, b""), "nothing at this address"),
        ({"ret": -1, "errmsg": "system busy"}, "system busy"),
        ({"ret": 0}, "without a code"),
        ({"ret": 0, "qrcode": "H"}, "without a code"),
        (Absence(AbsenceKind.NOT_SENT, "login.example: the name cannot be resolved"), "cannot be resolved"),
    ],
)
async def test_gateway_that_gives_no_code_is_named_with_the_reason(
    start: Start, clock: Clock, answer: object, word: str
) -> None:
    """A wrong address must be told within seconds, not after eight minutes of waiting."""
    begun_ms = clock.now_ms()
    login, gateway = start(answer)
    assert await login.run() is None
    view = login.view()
    assert LoginStatus.FAILED == view.status
    assert word in view.note
    assert GATEWAY in view.note
    assert 4 == len(gateway.asked)
    assert clock.now_ms() - begun_ms <= 10_000


async def test_code_comes_after_a_short_outage(start: Start) -> None:
    """The gateway was started before the network was there."""
    login, _ = start(LOST, Answer(502, {}, b""), CODE, CONFIRMED)
    await confirmed(login)
    assert "" == login.view().note
