"""Verbs against a simulated WeChat on real sockets: the login to its end, the demo, the simulator alone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Ran

Run = Callable[..., Ran]
Start = Callable[..., "subprocess.Popen[bytes]"]
ANN = "o9ann@im.wechat"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Simulator:
    """A running `yizhan sim` and its control API."""

    def __init__(self, verb: subprocess.Popen[bytes]) -> None:
        assert verb.stdout is not None
        self.url, self.phone = (verb.stdout.readline().decode().split()[1] for _ in range(2))
        self.verb = verb

    def ask(self, path: str, body: object = None) -> Any:
        """GET, or POST with a body."""
        url = self.phone.removesuffix("/phone") + "/_sim/" + path
        content = None if body is None else json.dumps(body).encode()
        with DIRECT.open(urllib.request.Request(url, content), timeout=10) as answer:
            return json.load(answer)

    def login(self) -> str:
        """The handle of the login that is open, as soon as there is one."""
        for _ in range(300):
            if logins := self.ask("logins")["logins"]:
                return str(logins[-1]["handle"])
            time.sleep(0.1)
        raise AssertionError("nobody asked for a code")


@pytest.fixture
def simulator(start: Start, tmp_path: Path) -> Iterator[Simulator]:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"users": [{"name": "Ann", "user_id": ANN}]}))
    simulator = Simulator(start("sim", "--port", "0", "--script", str(script)))
    yield simulator
    simulator.verb.terminate()
    assert 0 == simulator.verb.wait(20)


def test_login_without_a_gateway_ends_with_an_account_that_the_platform_accepts(
    run: Run, simulator: Simulator
) -> None:
    """The first thing a newcomer does, before any gateway runs."""
    person = threading.Thread(target=_scan_and_confirm, args=(simulator,))
    person.start()
    ran = run("login", "weixin", env={"YIZHAN_WEIXIN__LOGIN_URL": simulator.url})
    person.join()
    assert 0 == ran.code, ran.err
    assert "Scan this code with WeChat" in ran.out
    assert "█" in ran.out
    account_id = re.search(r"(weixin:\S+@im\.bot) is logged in", ran.out)[1]  # type: ignore[index]
    assert "no gateway is running" in ran.err
    assert [account_id] == [row["id"] for row in run("account", "list", "--json").json["items"]]
    probes = [
        row for row in run("doctor", "--json").json["findings"] if row["check"] == f"account {account_id}"
    ]
    assert ["ok"] == [row["level"] for row in probes]


def _scan_and_confirm(simulator: Simulator) -> None:
    handle = simulator.login()
    simulator.ask(f"logins/{handle}/scan", {"user": "Ann"})
    simulator.ask(f"logins/{handle}/confirm", {})


def test_a_token_that_the_platform_refuses_is_found_by_doctor(run: Run, simulator: Simulator) -> None:
    """A revoked token shows before the gateway is started with it."""
    add = ("account", "add", "weixin", "--account-id", "ab12@im.bot", "--base-url", simulator.url)
    assert 0 == run(*add, "--token-stdin", stdin="ab12@im.bot:wrong").code
    [finding] = [
        row for row in run("doctor", "--json").json["findings"] if row["check"].startswith("account ")
    ]
    assert "fail" == finding["level"]
    assert "login" in finding["fix"].lower()


def test_the_demo_answers_to_verbs_and_ends_quietly(start: Start, run: Run, tmp_path: Path) -> None:
    """One command, two addresses, and Ctrl-C leaves nothing behind but the directory."""
    home = tmp_path / "demo"
    demo = start("demo", "--home", str(home))
    assert demo.stdout is not None
    words = b""
    while b"Ctrl-C" not in words:
        line = demo.stdout.readline()
        assert line, demo.communicate()
        words += line
    assert b"phone " in words
    assert b"console " in words
    status = run("status", "--home", str(home), "--json").json
    assert (True, True) == (status["gateway"]["running"], status["ready"]["ready"])
    demo.send_signal(signal.SIGINT)
    assert 0 == demo.wait(20)
    assert not (home / "gateway.json").exists()
