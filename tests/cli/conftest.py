"""Verbs as real processes, and a small gateway on loopback that answers as each test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from yizhan.cli.main import main

API_KEY = "key-of-the-home"
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("YIZHAN_", "AGENT_", "MODEL"))
}


@dataclass(frozen=True)
class Ran:
    """A finished verb."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Asked:
    """One request that the small gateway got."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any


Reply = tuple[int, Any] | None
"""Status and JSON (a str is sent as HTML); None: the connection is closed without an answer."""


@dataclass
class SmallGateway:
    """Answers by `routes`: (method, path) → a reply, a list of replies (the last one stays), or a function."""

    home: Path
    url: str = ""
    routes: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def reply(self, asked: Asked) -> Reply:
        if asked.path == "/healthz" and ("GET", "/healthz") not in self.routes:
            return 200, {"alive": True, "version": "0"}
        self.asked.append(asked)
        route = self.routes.get((asked.method, asked.path), (404, problem("not-found", 404)))
        if isinstance(route, list):
            return route.pop(0) if len(route) > 1 else route[0]
        return route(asked) if callable(route) else route

    @property
    def only(self) -> Asked:
        """The one request that was made."""
        assert 1 == len(self.asked), self.asked
        return self.asked[0]


def problem(name: str, status: int, detail: str = "It is so.", fix: str = "Change it.") -> dict[str, Any]:
    return {
        "type": f"urn:yizhan:problem:{name}",
        "title": name,
        "status": status,
        "detail": detail,
        "fix": fix,
    }


def message(state: str = "queued", **more: Any) -> dict[str, Any]:
    """A message object in the given state."""
    shape: dict[str, Any] = {
        "id": "m_1",
        "to": "weixin:ab12@im.bot:o9@im.wechat",
        "priority": "push",
        "idempotency_key": None,
        "state": state,
        "waiting_for": None,
        "next_attempt_at": None,
        "reason": None,
        "possibly_doubled": False,
        "in_reply_to": None,
        "turn": None,
        "created_at": "2026-11-21T08:00:00.000Z",
        "expires_at": "2026-11-28T08:00:00.000Z",
        "parts": [],
    }
    return shape | more


def account(state: str = "up", **more: Any) -> dict[str, Any]:
    """An account object as the list of accounts shows it."""
    shape: dict[str, Any] = {
        "id": "weixin:ab12@im.bot",
        "platform": "weixin",
        "state": state,
        "since": "2026-11-21T08:00:00.000Z",
        "reason": None,
        "action": None,
        "paused": False,
        "last_server_answer_at": "2026-11-21T08:00:00.000Z",
        "next_attempt_at": None,
        "created_at": "2026-11-21T08:00:00.000Z",
        "gates": [],
        "live": {},
        "oldest_live_at": None,
    }
    return shape | more


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `yizhan ARGUMENTS` on the test's home; whatever still runs at the end is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def start_verb(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        verb = subprocess.Popen(
            [sys.executable, "-m", "yizhan", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(home, env),
        )
        started.append(verb)
        return verb

    yield start_verb
    for verb in started:
        verb.kill()
        verb.communicate()


@pytest.fixture(scope="session")
def forge() -> Iterator[subprocess.Popen[bytes]]:
    """The process from which verbs are forked."""
    program = Path(__file__).with_name("forge.py")
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def run(home: Path, forge: subprocess.Popen[bytes], tmp_path: Path) -> Callable[..., Ran]:
    """Runs `yizhan ARGUMENTS` on the test's home to its end, in a process of its own."""
    files = {name: tmp_path / name for name in ("stdin", "stdout", "stderr")}

    def run_verb(
        *arguments: str, stdin: str | bytes = b"", env: dict[str, str] | None = None, user: int | None = None
    ) -> Ran:
        for file in files.values():
            file.write_bytes(b"")
        files["stdin"].write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        order = {"arguments": arguments, "env": environment(home, env), "user": user}
        order |= {name: str(file) for name, file in files.items()}
        assert forge.stdin is not None
        assert forge.stdout is not None
        forge.stdin.write(json.dumps(order).encode() + b"\n")
        forge.stdin.flush()
        code = int(forge.stdout.readline())
        return Ran(code, files["stdout"].read_text(), files["stderr"].read_text())

    return run_verb


@pytest.fixture
def run_here(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command within this process; for help and usage, which need no process of their own."""

    def run_verb(*arguments: str) -> Ran:
        code = main(arguments)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run_verb


@pytest.fixture
def gateway(home: Path) -> Iterator[SmallGateway]:
    """A running gateway, as far as a verb can tell: `gateway.json`, `api-key`, and something that answers."""
    small = SmallGateway(home)
    server = QuietServer(("127.0.0.1", 0), _front_of(small))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    small.url = f"http://127.0.0.1:{server.server_port}"
    (home / "api-key").write_text(API_KEY + "\n")
    write_gateway_file(home, small.url, os.getpid())
    yield small
    server.shutdown()
    server.server_close()


def environment(home: Path, more: dict[str, str] | None) -> dict[str, str]:
    return ENVIRONMENT | {"YIZHAN_HOME": str(home), "COLUMNS": "200"} | (more or {})


def write_gateway_file(home: Path, url: str, pid: int) -> None:
    (home / "gateway.json").write_text(json.dumps({"pid": pid, "url": url, "version": "0"}))


def dead_pid() -> int:
    """The id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


class QuietServer(ThreadingHTTPServer):
    """A client that goes away in the middle is part of these tests."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing."""


def _front_of(small: SmallGateway) -> type[BaseHTTPRequestHandler]:
    class Front(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            split = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(raw) if raw else None
            reply = small.reply(Asked(self.command, split.path, parse_qs(split.query), headers, body))
            if reply is None:
                self.close_connection = True
                return
            status, shape = reply
            html = isinstance(shape, str)
            content = shape.encode() if html else json.dumps(shape).encode()
            self.send_response(status)
            kind = (
                "text/html" if html else "application/problem+json" if status >= 400 else "application/json"
            )
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Front
