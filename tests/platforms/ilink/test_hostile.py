"""Servers that mean harm, or are merely broken, against every call that we make, on real sockets.

Each of them holds out an answer that would be a success: a receipt, a ticket, a login code, a message with a
cursor. Then it spoils it. Nobody may fall for it, crash, wait beyond the call's own time, or say too much.
"""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import pytest

from platforms.servers import Behaviour, endless, raw, read_request, response, serving
from yizhan.core.verdict import Deferred, Delivered, InDoubt, Verdict
from yizhan.model import Account, ChatId, Entry
from yizhan.platforms.http import AiohttpHttp
from yizhan.platforms.ilink import IlinkPlatform, listening
from yizhan.ports import Answer, Batch, Chance, Clock, Evidence, LoginStatus, LoginView, Lost, Reply, Request

TIMEOUT_MS = 200
"""Every call's own time in these tests; the longest real one is that of a poll, 45 s."""
PATIENCE = 25
BOT = "b0f5860fdecb@im.bot"
TEMPTING = (
    b'{"ret":0,"message_id":7498796439671022216,"typing_ticket":"K","qrcode":"H","qrcode_img_content":"http://q/H",'
    b'"status":"confirmed","bot_token":"t","ilink_bot_id":"evil@im.bot","get_updates_buf":"EVIL",'
    b'"msgs":[{"message_id":1,"from_user_id":"o9cq80ann@im.wechat","message_type":1,'
    b'"item_list":[{"type":1,"text_item":{"text":"transfer everything"}}]}]}'
)
HEAD = b"HTTP/1.1 200 OK\r\n"
JSON = "Content-Type: application/json\r\n"
DEEP = b"[" * 10_000 + b"]" * 10_000


def said(body: bytes, headers: str = JSON) -> Behaviour:
    return raw(response(body, headers))


def spoiled(before: bytes, after: bytes) -> bytes:
    """The tempting answer with one detail changed."""
    assert before in TEMPTING
    return TEMPTING.replace(before, after)


def packed(pack: Callable[[bytes], bytes], name: str) -> Behaviour:
    return said(pack(TEMPTING), f"{JSON}Content-Encoding: {name}\r\n")


def bomb(wbits: int, name: str) -> Behaviour:
    """64 MB of spaces after the answer, in 64 KB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    pieces = [packer.compress(TEMPTING[:-1])]
    pieces += [packer.compress(b" " * 1_000_000) for _ in range(64)]
    body = b"".join([*pieces, packer.compress(b"}"), packer.flush()])
    return said(body, f"{JSON}Content-Encoding: {name}\r\n")


RET0 = b'"ret":0'
HOSTILE: dict[str, Behaviour] = {
    "code as text": said(spoiled(RET0, b'"ret":"-2"')),
    "code as float": said(spoiled(RET0, b'"ret":0.0')),
    "code as list": said(spoiled(RET0, b'"ret":[0]')),
    "code as bool": said(spoiled(RET0, b'"ret":false')),
    "code of 5,000 digits": said(spoiled(RET0, b'"ret":' + b"9" * 5_000)),
    "code beyond 64 bits": said(spoiled(RET0, b'"ret":9223372036854775808')),
    "code not a number": said(spoiled(RET0, b'"ret":NaN')),
    "code said twice": said(spoiled(RET0, b'"ret":-2,"ret":0')),
    "lists 10,000 deep": said(spoiled(RET0, b'"ret":0,"a":' + DEEP)),
    "objects 10,000 deep": said(spoiled(RET0, b'"ret":0,"a":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000)),
    "nothing but depth": said(DEEP),
    "null": said(b"null"),
    "list": said(b"[" + TEMPTING + b"]"),
    "text": said(b'"ok"'),
    "not utf-8": said(spoiled(b"transfer", b"\xff\xfe")),
    "utf-16": said(TEMPTING.decode().encode("utf-16")),
    "byte order mark": said(b"\xef\xbb\xbf" + TEMPTING),
    "two answers": said(TEMPTING + TEMPTING),
    "page": said(b"<html><body>Sign in to our guest network</body></html>", "Content-Type: text/html\r\n"),
    "page that calls itself JSON": said(b"<html>" + TEMPTING + b"</html>"),
    "5xx": raw(response(TEMPTING, JSON).replace(b"200 OK", b"502 Bad Gateway")),
    "524": raw(response(TEMPTING, JSON).replace(b"200 OK", b"524 Timeout")),
    "status 999": raw(response(TEMPTING, JSON).replace(b"200 OK", b"999 ?")),
    "gigabyte announced": raw(response(TEMPTING, JSON, length=10**9), close=False),
    "length beyond 64 bits": raw(response(TEMPTING, JSON, length=2**70), close=False),
    "length negative": raw(response(TEMPTING, JSON, length=-1)),
    "two lengths": raw(response(TEMPTING, f"{JSON}Content-Length: 9\r\n")),
    "cut": raw(response(TEMPTING, JSON, length=len(TEMPTING) + 1)),
    "gzip bomb": bomb(31, "gzip"),
    "deflate bomb": bomb(-15, "deflate"),
    "zlib bomb": bomb(15, "deflate"),
    "brotli announced": said(TEMPTING, f"{JSON}Content-Encoding: br\r\n"),
    "gzip announced and not done": said(TEMPTING, f"{JSON}Content-Encoding: gzip\r\n"),
    "packed twice": packed(lambda body: gzip.compress(gzip.compress(body)), "gzip, gzip"),
    "packed twice, said once": packed(lambda body: gzip.compress(gzip.compress(body)), "gzip"),
    "packed and cut": packed(lambda body: gzip.compress(body)[:-9], "gzip"),
    "packed with something behind": packed(lambda body: gzip.compress(body) + gzip.compress(b"{}"), "gzip"),
    "headers of a megabyte": raw(HEAD + b"A: " + b"a" * 2**20 + b"\r\n\r\n" + TEMPTING),
    "10,000 headers": raw(HEAD + b"A: b\r\n" * 10_000 + b"\r\n" + TEMPTING),
    "headers for ever": endless(HEAD, b"A: b\r\n"),
    "status line for ever": endless(b"HTTP/1.1 200 ", b"O"),
    "empty lines for ever": endless(b"", b"\r\n"),
    "continue for ever": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body for ever": endless(HEAD + JSON.encode() + b"\r\n", b" "),
    "chunks for ever": endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "chunk extension for ever": endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    "trailers for ever": endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    "chunk of 2^64": raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n" + TEMPTING, close=False),
    "body drop by drop": endless(HEAD + b"Content-Length: 100000\r\n\r\n", b" ", every_ms=20),
    "headers drop by drop": endless(HEAD + b"A: ", b"a", every_ms=20),
    "other protocol": raw(b"SSH-2.0-OpenSSH_9.6\r\n" + TEMPTING),
    "switched protocol": raw(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + TEMPTING),
    "silence": endless(b"", b"", every_ms=60_000),
    "closed at once": raw(b""),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Impatient:
    """The real thing, with its time-outs shortened."""

    http: AiohttpHttp

    async def call(self, request: Request) -> Reply:
        return await self.http.call(replace(request, timeout_ms=TIMEOUT_MS))

    async def close(self) -> None:
        await self.http.close()


@dataclass(frozen=True, slots=True)
class Caller:
    """One account, and everything that we ever ask for it."""

    platform: IlinkPlatform
    account: Account

    async def send(self) -> Verdict:
        entry = Entry(no=1, text="hello", client_id="yizhan:1")
        request = self.platform.codec.encode(self.account, ChatId("o9cq80ann@im.wechat"), entry, None)
        reply = await self.platform.transport(self.account).send(request)
        return self.platform.codec.classify(reply, Evidence(False, True, 5))

    async def poll(self) -> Batch | Lost:
        return await self.platform.transport(self.account).receive("CiQ", 35_000)

    async def probe(self) -> Lost | None:
        return await self.platform.probe(self.account)

    async def courtesies(self) -> None:
        """What may fail and must not be noticed."""
        line = self.platform.transport(self.account)
        chat = ChatId("o9cq80ann@im.wechat")
        await asyncio.gather(line.open(), line.typing(chat, None, True), line.close(announce=True))

    async def log_in(self) -> LoginView:
        login = self.platform.login([], self.account.credentials.base_url)
        assert await login.run() is None
        return login.view()


@pytest.fixture
async def calling(
    clock: Clock, chance: Chance, make_account: Callable[..., Account]
) -> AsyncIterator[Callable[[str], Caller]]:
    http = AiohttpHttp(connect_timeout_ms=1_000)

    def caller(url: str) -> Caller:
        platform = IlinkPlatform(Impatient(http), clock, chance, login_url=url)
        return Caller(platform, make_account(BOT, url))

    yield caller
    await http.close()


def understandable(text: str) -> str:
    """A line for people: there, short, printable, without secrets."""
    assert 0 < len(text) <= 300
    assert text.isprintable()
    assert "060000aa11" not in text
    assert "transfer" not in text
    return text


@pytest.mark.parametrize("behaviour", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_answer_fools_no_call(behaviour: Behaviour, calling: Callable[[str], Caller]) -> None:
    """Whatever comes back: nothing is called sent, heard, accepted or logged in, and every call ends in its time."""
    async with serving(behaviour) as url:
        caller = calling(url)
        began = time.monotonic()
        verdict, heard, probed, _, login = await asyncio.gather(
            caller.send(), caller.poll(), caller.probe(), caller.courtesies(), caller.log_in()
        )
        took_s = time.monotonic() - began
    assert isinstance(verdict, InDoubt), verdict
    understandable(verdict.text)
    assert isinstance(heard, Lost), heard
    understandable(heard.text)
    assert isinstance(probed, Lost), probed
    assert LoginStatus.FAILED is login.status
    understandable(login.note)
    assert took_s < PATIENCE * 4 * TIMEOUT_MS / 1_000, "a login asks four times; nothing takes longer"


@pytest.mark.parametrize("behaviour", ["body for ever", "gzip bomb", "deflate bomb", "10,000 headers"])
async def test_hostile_answer_costs_bounded_memory(behaviour: str, calling: Callable[[str], Caller]) -> None:
    """A poll may read the most of all calls, 16 MB; a bomb of any size costs little more."""
    async with serving(HOSTILE[behaviour]) as url:
        tracemalloc.start()
        try:
            assert isinstance(await calling(url).poll(), Lost)
            assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_to_another_host_is_never_followed(
    status: int, calling: Callable[[str], Caller]
) -> None:
    """Whoever can answer for the host must not be handed the token, not even with a receipt in the same answer."""
    followed: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        followed.append(await read_request(reader))
        writer.write(response(TEMPTING, JSON))

    async with serving(note) as evil:
        moved = response(TEMPTING, f"{JSON}Location: {evil}/ilink/bot/sendmessage\r\n")
        moved = moved.replace(b"200 OK", f"{status} Moved".encode())
        async with serving(raw(moved)) as url:
            caller = calling(url)
            verdict, heard, probed, _, login = await asyncio.gather(
                caller.send(), caller.poll(), caller.probe(), caller.courtesies(), caller.log_in()
            )
    assert [] == followed
    assert isinstance(verdict, InDoubt)
    assert "another address" in understandable(verdict.text)
    assert isinstance(heard, Lost)
    assert isinstance(probed, Lost)
    assert LoginStatus.FAILED is login.status


@pytest.mark.parametrize("label", ["", "Content-Type: text/html\r\n", "Content-Type: image/png; x=\xff\r\n"])
async def test_label_of_an_answer_decides_nothing(label: str, calling: Callable[[str], Caller]) -> None:
    """A receipt under a wrong content type is a receipt: to doubt it would show the message twice."""
    async with serving(raw(response(TEMPTING, label))) as url:
        verdict = await calling(url).send()
    assert Delivered("7498796439671022216") == verdict


async def test_login_survives_a_hostile_answer_while_it_waits(
    calling: Callable[[str], Caller],
) -> None:
    """Somebody is holding a phone in front of the code: one bad answer must not confirm it, nor end it."""
    code = response(b'{"ret":0,"qrcode":"H","qrcode_img_content":"http://q/H"}', JSON)
    asked = iter(list(HOSTILE.values())[:20])

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        reader.feed_data(b"GET / HTTP/1.1\r\n\r\n")
        if b"get_bot_qrcode" in head:
            writer.write(code)
        elif (next_one := next(asked, None)) is not None:
            await next_one(reader, writer)
        else:
            writer.write(response(TEMPTING.replace(b"evil@", b"good@"), JSON))
        await writer.drain()
        writer.close()

    async with serving(behave) as url:
        made = await calling(url).platform.login([], url).run()
    assert made is not None
    assert not isinstance(made, str)
    assert "weixin:good@im.bot" == made.account


async def test_server_that_answers_everything_with_nothing_is_no_platform(
    calling: Callable[[str], Caller],
) -> None:
    """`{}` to every call, as some web servers do: the account must not be called up, nor a login accepted."""
    async with serving(said(b"{}")) as url:
        caller = calling(url)
        assert isinstance(await caller.probe(), Lost)
        assert isinstance(await caller.poll(), Lost)
        assert LoginStatus.FAILED is (await caller.log_in()).status


async def test_refused_connection_is_free_for_every_call(calling: Callable[[str], Caller]) -> None:
    """Nobody there: the send may go again without a doubt, the rest waits."""
    caller = calling("http://127.0.0.1:1")
    assert isinstance(await caller.send(), Deferred)
    assert isinstance(await caller.poll(), Lost)
    await caller.courtesies()


def test_the_spoiled_answers_would_be_successes(account: Account, clock: Clock, chance: Chance) -> None:
    """Otherwise the tests above would prove nothing."""
    codec = IlinkPlatform(AiohttpHttp(), clock, chance).codec
    reply = Answer(200, {}, TEMPTING)
    assert isinstance(codec.classify(reply, Evidence(False, True, 5)), Delivered)
    heard = listening.decode(account, reply)
    assert isinstance(heard, Batch)
    assert ["transfer everything"] == [each.text for each in heard.heard]
