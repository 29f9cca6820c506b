"""What the network can do to a request, done by a real server on the loopback."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable

import pytest

from platforms.servers import Behaviour, raw, read_request, response, serving
from yizhan.platforms.http import AiohttpHttp
from yizhan.ports import Absence, AbsenceKind, Answer, Reply, Request

SECRET = "tok-4711"


@pytest.fixture
async def http() -> AsyncIterator[AiohttpHttp]:
    made = AiohttpHttp(connect_timeout_ms=1_000)
    yield made
    await made.close()


def ask(
    url: str, timeout_ms: int = 3_000, bound: int = 100_000, method: str = "POST", body: bytes = b"{}"
) -> Request:
    headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
    return Request("sendmessage", method, f"{url}/x?q={SECRET}", headers, body, timeout_ms, bound)


def absent(kind: AbsenceKind, reply: Reply) -> str:
    """The text of an absence of that kind; it never shows a secret."""
    assert isinstance(reply, Absence), reply
    assert kind == reply.kind, reply.text
    assert SECRET not in reply.text
    return reply.text


async def test_small_json_arrives_whole_and_header_names_are_lower_case(http: AiohttpHttp) -> None:
    """The plain case that all others vary."""
    async with serving(raw(response(b'{"message_id":7}', "X-Thing: One\r\n"))) as url:
        assert Answer(
            200, {"content-length": "16", "x-thing": "One"}, b'{"message_id":7}'
        ) == await http.call(ask(url))


async def test_the_request_goes_out_as_built(http: AiohttpHttp) -> None:
    """The platform judges headers and byte counts; a body counted in characters hangs there."""
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(response(b"{}"))

    async with serving(behave) as url:
        await http.call(ask(url, body='{"text":"你好"}'.encode()))
    head, body = seen[0].split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    assert f"POST /x?q={SECRET} HTTP/1.1" == lines[0]
    assert {"Content-Length: 17", f"Authorization: Bearer {SECRET}", "Accept-Encoding: identity"} <= set(
        lines
    )
    assert '{"text":"你好"}' == body.decode()


async def test_nobody_listens_means_not_sent(http: AiohttpHttp) -> None:
    """A refused connection costs nothing: the part may go again without a doubt."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        reply = await http.call(ask(f"http://127.0.0.1:{held.getsockname()[1]}"))
    assert "connection refused" in absent(AbsenceKind.NOT_SENT, reply)


async def test_unknown_name_means_not_sent(http: AiohttpHttp) -> None:
    """The name server is down more often than the platform."""
    absent(AbsenceKind.NOT_SENT, await http.call(ask("http://no-such-host.invalid")))


async def test_connection_that_is_never_accepted_means_not_sent(http: AiohttpHttp) -> None:
    """Packets that vanish: the time-out strikes before a byte of the request left."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
            absent(AbsenceKind.NOT_SENT, await http.call(ask(f"http://127.0.0.1:{port}", timeout_ms=400)))
        finally:
            for each in waiting:
                each.close()


async def test_tls_that_fails_means_not_sent(http: AiohttpHttp) -> None:
    """The request, token and all, must not have left before the handshake is over."""
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(5))
        writer.write(b"HTTP/1.1 400 plain text spoken here\r\n\r\n")
        writer.close()

    async with serving(behave) as url:
        text = absent(AbsenceKind.NOT_SENT, await http.call(ask(url.replace("http", "https"))))
    assert "TLS" in text
    assert b"\x16\x03\x01" == seen[0][:3]


async def test_certificate_of_nobody_means_not_sent() -> None:
    """A box in the middle with a certificate of its own gets no token."""
    context = ssl.create_default_context()
    http = AiohttpHttp(tls=context)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.set_ciphers("ALL:@SECLEVEL=0")

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=server_side)
    async with server:
        port = server.sockets[0].getsockname()[1]
        absent(AbsenceKind.NOT_SENT, await http.call(ask(f"https://127.0.0.1:{port}")))
    await http.close()


@pytest.mark.parametrize("url", ["not-a-url", "ftp://127.0.0.1", "http://", "http://[::1", "http://a b"])
async def test_address_that_is_none_means_not_sent(http: AiohttpHttp, url: str) -> None:
    """A mistyped base URL is a sentence for the operator, not a traceback."""
    absent(AbsenceKind.NOT_SENT, await http.call(ask(url)))


async def test_token_with_a_line_break_is_refused_before_it_leaves(http: AiohttpHttp) -> None:
    """A token pasted with its newline must neither raise nor smuggle a header."""
    request = Request(
        "x", "POST", "http://127.0.0.1:1/x", {"Authorization": f"Bearer {SECRET}\r\nX: y"}, b"", 100
    )
    assert "Authorization" in absent(AbsenceKind.NOT_SENT, await http.call(request))


def reset_after(count: int) -> Behaviour:
    """Reads the request, writes that many bytes of an answer, then resets the connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(response(b'{"message_id":7}')[:count])
        await writer.drain()
        await asyncio.sleep(0.02)
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    return behave


@pytest.mark.parametrize("count", [0, 1, 20, 50])
async def test_reset_after_the_request_left_is_no_answer(http: AiohttpHttp, count: int) -> None:
    """It may be on the phone already: never call this unsent."""
    async with serving(reset_after(count)) as url:
        absent(AbsenceKind.NO_ANSWER, await http.call(ask(url)))


async def test_server_that_hangs_is_no_answer_at_the_time_out(http: AiohttpHttp) -> None:
    """One send lives at most as long as its request says."""
    begun = time.monotonic()
    async with serving(raw(b"", close=False)) as url:
        text = absent(AbsenceKind.NO_ANSWER, await http.call(ask(url, timeout_ms=300)))
    assert "no answer within 0.3 s" in text
    assert time.monotonic() - begun < 5


async def test_answer_that_came_while_the_process_was_frozen_is_read(http: AiohttpHttp) -> None:
    """A paused machine wakes up after its time-out, with the answer to its poll on the socket: the platform counts
    those messages as delivered, so throwing it away would lose them."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asyncio.get_running_loop().call_later(0.05, time.sleep, 1.2)
        await asyncio.sleep(0.1)
        writer.write(response(b'{"msgs":[]}'))

    async with serving(behave) as url:
        reply = await http.call(ask(url, timeout_ms=400))
    assert isinstance(reply, Answer), reply
    assert b'{"msgs":[]}' == reply.body


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_endless_drip_ends_at_the_time_out(http: AiohttpHttp) -> None:
    """A byte now and then must not hold a lane for ever."""
    async with serving(drip) as url:
        absent(AbsenceKind.NO_ANSWER, await http.call(ask(url, timeout_ms=300)))


async def test_body_shorter_than_announced_is_no_answer(http: AiohttpHttp) -> None:
    """`{"message_id":7}` of a longer truth may have gone on with a refusal."""
    async with serving(raw(response(b'{"message_id":7}', length=500))) as url:
        assert "broke off" in absent(AbsenceKind.NO_ANSWER, await http.call(ask(url)))


async def test_chunked_body_that_breaks_off_is_no_answer(http: AiohttpHttp) -> None:
    """The same without an announced length."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(raw(head + b'8\r\n{"ret":0\r\n')) as url:
        absent(AbsenceKind.NO_ANSWER, await http.call(ask(url)))


async def test_announced_gigabyte_is_not_waited_for(http: AiohttpHttp) -> None:
    """The announcement is enough; nothing of it is read."""
    async with serving(raw(response(b"{", length=10**9), close=False)) as url:
        assert "announces" in absent(AbsenceKind.NO_ANSWER, await http.call(ask(url, timeout_ms=20_000)))


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"[" * 65536)
        await writer.drain()


async def test_flood_without_a_length_costs_bounded_memory(http: AiohttpHttp) -> None:
    """What has no end is cut at the bound."""
    async with serving(pour) as url:
        tracemalloc.start()
        try:
            absent(AbsenceKind.NO_ANSWER, await http.call(ask(url, timeout_ms=20_000, bound=1_000_000)))
            assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zlib.compress, lambda body: zlib.compress(body)[2:-4]],
    ids=["gzip", "zlib", "raw"],
)
async def test_compressed_answer_is_read_though_we_did_not_ask(
    http: AiohttpHttp, pack: Callable[[bytes], bytes]
) -> None:
    """Gateways compress what they like, and by three dialects."""
    name = "gzip" if pack is gzip.compress else "deflate"
    async with serving(raw(response(pack(b'{"ret":0}'), f"Content-Encoding: {name}\r\n"))) as url:
        reply = await http.call(ask(url))
    assert isinstance(reply, Answer)
    assert b'{"ret":0}' == reply.body


async def test_gzip_bomb_costs_bounded_memory(http: AiohttpHttp) -> None:
    """200 KB that would unpack to 200 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(200)) + packer.flush()
    async with serving(raw(response(bomb, "Content-Encoding: gzip\r\n"))) as url:
        tracemalloc.start()
        try:
            text = absent(AbsenceKind.NO_ANSWER, await http.call(ask(url, bound=1_000_000)))
            assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
        finally:
            tracemalloc.stop()
    assert "unpacks" in text


@pytest.mark.parametrize(
    ("body", "name"),
    [(gzip.compress(b'{"ret":0}')[:-6], "gzip"), (b'{"ret":0}', "gzip"), (b"x", "br"), (b"x", "gzip, gzip")],
    ids=["cut", "not-packed", "unknown", "twice"],
)
async def test_encoding_that_cannot_be_undone_is_no_answer(http: AiohttpHttp, body: bytes, name: str) -> None:
    """Half a compressed answer is no answer, and guessing is worse."""
    async with serving(raw(response(body, f"Content-Encoding: {name}\r\n"))) as url:
        absent(AbsenceKind.NO_ANSWER, await http.call(ask(url)))


@pytest.mark.parametrize(
    "gibberish",
    [b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\xff" * 100, b"HTTP/1.1 200 OK\r\nA: " + b"a" * 99_999],
)
async def test_gibberish_is_no_answer(http: AiohttpHttp, gibberish: bytes) -> None:
    """Something else listens on that port."""
    async with serving(raw(gibberish)) as url:
        absent(AbsenceKind.NO_ANSWER, await http.call(ask(url, timeout_ms=1_000)))


@pytest.mark.field("F87")
async def test_redirect_is_an_answer_and_nobody_follows_it(http: AiohttpHttp) -> None:
    """Following one would carry the token to another host."""
    moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/evil\r\nContent-Length: 0\r\n\r\n"
    async with serving(raw(moved)) as url:
        reply = await http.call(ask(url))
    assert isinstance(reply, Answer)
    assert 307 == reply.status


async def test_cookies_are_not_kept(http: AiohttpHttp) -> None:
    """Accounts share the session; nothing may leak from one to the other."""
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            seen.append(await read_request(reader))
            writer.write(response(b"{}", "Set-Cookie: a=b; Path=/\r\n"))

    async with serving(behave) as url:
        await http.call(ask(url))
        await http.call(ask(url))
    assert 2 == len(seen)
    assert b"cookie" not in seen[1].lower()


@pytest.mark.field("F83")
async def test_proxy_variables_of_the_environment_are_ignored(
    http: AiohttpHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that somebody set for a browser must not get the chats of a gateway."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(raw(response(b"{}"))) as url:
        assert isinstance(await http.call(ask(url)), Answer)


async def test_kept_connection_closed_by_the_server_is_a_doubt_for_a_send(http: AiohttpHttp) -> None:
    """Whether the second request was read before the door closed, nobody knows; it is not sent twice."""
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(response(b"{}"))
        seen.append(await read_request(reader))
        writer.close()

    async with serving(behave) as url:
        assert isinstance(await http.call(ask(url)), Answer)
        absent(AbsenceKind.NO_ANSWER, await http.call(ask(url)))
    assert 2 == len(seen)


async def test_cancelling_a_call_closes_its_connection(http: AiohttpHttp) -> None:
    """An aborted poll must look aborted to the server, or it hands its messages to nobody."""
    gone = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        polled.set()
        await reader.read()
        gone.set()

    polled = asyncio.Event()
    async with serving(behave) as url:
        call = asyncio.create_task(http.call(ask(url, timeout_ms=60_000)))
        await asyncio.wait_for(polled.wait(), 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(gone.wait(), 5)


async def test_long_polls_do_not_make_sends_wait(http: AiohttpHttp) -> None:
    """A pool with a limit would queue the 101st account's send behind somebody's poll."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_request(reader)
        if head.startswith(b"GET"):
            polling.release()
            await asyncio.sleep(60)
        writer.write(response(b"{}"))

    polling = asyncio.Semaphore(0)
    async with serving(behave) as url:
        polls = [
            asyncio.create_task(http.call(ask(url, timeout_ms=60_000, method="GET", body=b"")))
            for _ in range(150)
        ]
        for _ in polls:
            await asyncio.wait_for(polling.acquire(), 10)
        assert isinstance(await http.call(ask(url)), Answer)
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)


async def test_after_closing_calls_end_at_once(http: AiohttpHttp) -> None:
    """A send that comes late during the stop is unsent, not an error."""
    await http.close()
    absent(AbsenceKind.NOT_SENT, await http.call(ask("http://127.0.0.1:1")))


async def test_an_address_that_may_not_be_called_is_told_with_its_reason() -> None:
    """Whatever its name was: the guard looks at what is connected to."""
    from yizhan.guarded import guarded_socket

    http = AiohttpHttp(socket_for=guarded_socket())
    try:
        for host, words in (
            ("127.0.0.1", "may not be called: it is this machine"),
            ("localhost", "localhost"),
        ):
            request = Request("webhook", "POST", f"http://{host}:9/hook", {}, b"{}", 5_000)
            reply = await http.call(request)
            assert isinstance(reply, Absence)
            assert (AbsenceKind.NOT_SENT, True) == (reply.kind, words in reply.text)
    finally:
        await http.close()
