"""`yizhan send` against a running gateway: what it asks, and its exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import (
    API_KEY,
    Asked,
    Ran,
    SmallGateway,
    dead_pid,
    message,
    problem,
    write_gateway_file,
)

Run = Callable[..., Ran]
TO = "weixin:ab12@im.bot:o9@im.wechat"
POST = ("POST", "/v1/messages")
LOOK = ("GET", "/v1/messages/m_1")


def test_send_hands_over_target_and_text_with_the_key_of_the_home(run: Run, gateway: SmallGateway) -> None:
    """What the API gets is what was typed, and nothing that was not."""
    gateway.routes[POST] = (202, message())
    ran = run("send", "-t", TO, "你好 🐎", "--json")
    assert (0, message()) == (ran.code, ran.json)
    assert {"to": TO, "text": "你好 🐎"} == gateway.only.body
    assert f"Bearer {API_KEY}" == gateway.only.headers["authorization"]
    assert gateway.url.removeprefix("http://") == gateway.only.headers["host"]


def test_every_option_of_send_reaches_the_api_under_its_name(run: Run, gateway: SmallGateway) -> None:
    """Scripts rely on these options."""
    gateway.routes[POST] = (202, message())
    options = ("--priority", "reply", "--key", "k1", "--in-reply-to", "in_7", "--expires-in", "15m")
    assert 0 == run("send", "-t", TO, "x", *options).code
    body = dict(gateway.only.body)
    assert body.pop("expires_at").endswith("Z")
    assert body == {
        "to": TO,
        "text": "x",
        "priority": "reply",
        "idempotency_key": "k1",
        "in_reply_to": "in_7",
    }


def test_a_text_on_standard_input_loses_only_its_last_line_end(run: Run, gateway: SmallGateway) -> None:
    """`date | yizhan send -t … -` must send what a person would have typed."""
    gateway.routes[POST] = (202, message())
    assert 0 == run("send", "-t", TO, "-", stdin="one\ntwo\n\n").code
    assert "one\ntwo\n" == gateway.only.body["text"]


def test_a_text_that_is_not_utf8_is_refused_before_anything_is_asked(run: Run, gateway: SmallGateway) -> None:
    """Half a character must not become another text."""
    ran = run("send", "-t", TO, "-", stdin=b"\xff\xfe")
    assert (ran.code, gateway.asked) == (2, [])
    assert "not valid UTF-8" in ran.err


@pytest.mark.parametrize(
    ("state", "code"),
    [("delivered", 0), ("failed", 1), ("expired", 1), ("cancelled", 1), ("unconfirmed", 4)],
)
def test_send_wait_ends_with_the_code_of_the_outcome(
    run: Run, gateway: SmallGateway, state: str, code: int
) -> None:
    """The exit code is the whole answer for a script."""
    gateway.routes[POST] = (202, message())
    gateway.routes[LOOK] = [(200, message("sending")), (200, message(state))]
    ran = run("send", "-t", TO, "x", "--wait", "--json")
    assert (code, state) == (ran.code, ran.json["state"])


def test_send_wait_that_sees_no_outcome_in_time_is_neither_done_nor_failed(
    run: Run, gateway: SmallGateway
) -> None:
    """4 means: still on its way, look later."""
    gateway.routes[POST] = (202, message())
    gateway.routes[LOOK] = (200, message("waiting", waiting_for="limit"))
    ran = run("send", "-t", TO, "x", "--wait", "--timeout", "0.6")
    assert 4 == ran.code
    assert "waiting m_1 for limit" in ran.out


def test_send_wait_outlives_a_gateway_that_goes_away_for_a_moment(run: Run, gateway: SmallGateway) -> None:
    """A restart in the middle changes nothing for a message that is accepted."""
    gateway.routes[POST] = (202, message())
    gateway.routes[LOOK] = [None, (503, problem("busy", 503)), (200, message("delivered"))]
    assert 0 == run("send", "-t", TO, "x", "--wait").code


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("unknown-account", 404, 2),
        ("unknown-chat", 404, 2),
        ("text-empty", 422, 2),
        ("text-too-long", 413, 2),
        ("idempotency-conflict", 409, 2),
        ("unauthorized", 401, 2),
        ("busy", 503, 3),
        ("internal-error", 500, 1),
    ],
)
def test_a_refusal_is_one_line_that_says_what_to_change(
    run: Run, gateway: SmallGateway, name: str, status: int, code: int
) -> None:
    """Nothing was accepted; the caller learns whose turn it is."""
    document = problem(name, status, "No such thing.", "Name another.")
    gateway.routes[POST] = (status, document)
    ran = run("send", "-t", TO, "x", "--json")
    assert (code, document) == (ran.code, ran.json)
    assert "yizhan: No such thing. Name another.\n" == ran.err


def test_a_lost_answer_is_never_told_as_nothing_accepted(run: Run, gateway: SmallGateway) -> None:
    """The message may be in the outbox: 4, not 3, and the way to be sure."""
    gateway.routes[POST] = None
    ran = run("send", "-t", TO, "x")
    assert 4 == ran.code
    assert "not known" in ran.err
    assert "outbox list" in ran.err


def test_a_gateway_that_takes_connections_and_never_answers_is_said_so(
    run: Run, gateway: SmallGateway
) -> None:
    """A hung gateway holds the home; nothing may be tried behind its back."""
    gateway.routes["GET", "/healthz"] = None
    ran = run("send", "-t", TO, "x")
    assert (ran.code, [asked for asked in gateway.asked if asked.method == "POST"]) == (3, [])
    assert f"process {os.getpid()}" in ran.err
    assert "does not answer" in ran.err


@pytest.mark.parametrize("stale", ["dead process", "refused connection", "broken file", "no file"])
def test_send_wait_without_a_gateway_accepts_nothing_and_says_so(
    run: Run, home: Path, gateway: SmallGateway, stale: str
) -> None:
    """There would be nobody to wait for; a stale gateway.json is no gateway."""
    file = home / "gateway.json"
    if stale == "dead process":
        write_gateway_file(file.parent, gateway.url, dead_pid())
    elif stale == "refused connection":
        write_gateway_file(file.parent, "http://127.0.0.1:1", os.getpid())
    elif stale == "broken file":
        file.write_text('{"pid":')
    else:
        file.unlink()
    ran = run("send", "-t", TO, "x", "--wait")
    assert (ran.code, gateway.asked) == (3, [])
    assert "nothing was accepted" in ran.err


def test_a_page_instead_of_json_is_recognised(run: Run, gateway: SmallGateway) -> None:
    """Another program on the port must not look like success."""
    gateway.routes[POST] = (200, "<html>welcome</html>")
    ran = run("send", "-t", TO, "x")
    assert 1 == ran.code
    assert "no gateway" in ran.err


def test_the_key_of_the_environment_wins_over_the_file(run: Run, gateway: SmallGateway) -> None:
    """Programs with a key of their own need not read the home's."""
    gateway.routes[POST] = (202, message())
    run("send", "-t", TO, "x", env={"YIZHAN_API_KEY": "mine"})
    assert "Bearer mine" == gateway.only.headers["authorization"]


def test_an_interrupt_while_waiting_is_quiet(
    start: Callable[..., subprocess.Popen[bytes]], gateway: SmallGateway
) -> None:
    """Ctrl-C ends with 130 and without a traceback."""
    looked = threading.Event()

    def hold(_: Asked) -> tuple[int, object]:
        looked.set()
        held.wait(20)
        return 200, message("waiting")

    held = threading.Event()
    gateway.routes[POST] = (202, message())
    gateway.routes[LOOK] = hold
    verb = start("send", "-t", TO, "x", "--wait")
    assert looked.wait(20)
    verb.send_signal(signal.SIGINT)
    out, err = verb.communicate(timeout=20)
    held.set()
    assert (verb.returncode, out, err) == (130, b"", b"")


def test_send_wait_in_an_outage_says_what_it_waits_for(run: Run, gateway: SmallGateway) -> None:
    """`queued` alone tells nobody that the network is away."""
    reason = {"code": "unreachable", "text": "the platform cannot be reached"}
    queued = message("queued", waiting_for="connection", reason=reason)
    gateway.routes["POST", "/v1/messages"] = (202, queued)
    gateway.routes["GET", "/v1/messages/m_1"] = (200, queued)
    ran = run("send", "-t", "weixin:o9", "hi", "--wait", "--timeout", "0.3")
    assert 4 == ran.code
    assert "queued m_1 for connection: the platform cannot be reached\n" == ran.out
