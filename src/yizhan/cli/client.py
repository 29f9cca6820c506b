"""The API, for verbs: its words, and how it is called over HTTP when a gateway runs.

A verb is written once, as calls of `Api`; connect.py decides what stands behind them.
Only the standard library is imported here.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from yizhan.cli.trouble import AnswerLost, ApiProblem, NoGateway, UsageMistake

Json = dict[str, Any]
Query = Mapping[str, str | int | list[str] | None]

CONNECT_TIMEOUT_S = 3
PROBE_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 30
ANSWER_MAX_BYTES = 64 * 1024 * 1024


class Api(Protocol):
    """The routes of docs/contract.md. `running` tells whether a gateway is behind them."""

    @property
    def running(self) -> bool: ...

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Json | None = None,
        wait_s: float = 0,
        key: str | None = None,
    ) -> Json:
        """One request.

        Args:    key     idempotency key: under the same one it is done once
                 wait_s  how long the answer may be held back on purpose; added to the time-out.
        Returns: the JSON object of the answer; `{}` for one without a body.
        Raises:  ApiProblem (the API said no), NoGateway (nothing was sent), AnswerLost (it may have been done).
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class GatewayFile:
    """`gateway.json`: which process serves this home, and where."""

    pid: int
    url: str
    version: str


def read_gateway_file(home: Path) -> GatewayFile | None:
    """None if there is none or it is not (yet) whole."""
    try:
        content = json.loads((home / "gateway.json").read_text(encoding="utf-8"))
        url = str(content["url"])
        if urlsplit(url).port is None:
            return None
        return GatewayFile(int(content["pid"]), url, str(content.get("version", "")))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_api_key(home: Path, from_environment: str | None) -> str:
    """`YIZHAN_API_KEY` if set, else the home's `api-key` file; empty if there is neither.

    Raises:  UsageMistake  what stands there can be no key.
    """
    file = home / "api-key"
    try:
        key = (from_environment or "").strip() or file.read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if not key.isascii() or not key.isprintable():
        where = "YIZHAN_API_KEY" if (from_environment or "").strip() else str(file)
        raise UsageMistake(f"{where} holds no API key.", "A key is one line of plain ASCII characters.")
    return key


def alive(pid: int) -> bool:
    """Whether a process with this id exists (also one that is not ours)."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


class RemoteApi:
    """The API of a running gateway, over HTTP on a new connection per request."""

    running = True

    def __init__(self, url: str, key: str) -> None:
        split = urlsplit(url)
        self.url = url
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(split.hostname or "", split.hostname or "")
        self._port = split.port
        self._key = key

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Json | None = None,
        wait_s: float = 0,
        key: str | None = None,
    ) -> Json:
        """See Api.call."""
        status, content_type, content = self.exchange(
            method, _with_query(path, query), body, ANSWER_TIMEOUT_S + wait_s, key
        )
        return unpack(status, content_type, content)

    def exchange(
        self, method: str, path: str, body: Json | None, timeout_s: float, key: str | None = None
    ) -> tuple[int, str, bytes]:
        """Sends one request and reads the answer: status, content type, body."""
        line = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT_S)
        try:
            self._connect(line)
            return self._ask(line, method, path, body, timeout_s, request_headers(self._key, key))
        finally:
            line.close()

    def close(self) -> None:
        """Nothing is kept open."""

    def _connect(self, line: http.client.HTTPConnection) -> None:
        try:
            line.connect()
        except OSError as error:
            raise NoGateway(
                f"The gateway at {self.url} cannot be reached: {error}.", "Start it: yizhan run"
            ) from None

    def _ask(
        self,
        line: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Json | None,
        timeout_s: float,
        headers: dict[str, str],
    ) -> tuple[int, str, bytes]:
        line.sock.settimeout(timeout_s)
        try:
            line.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            answer = line.getresponse()
            content = answer.read(ANSWER_MAX_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise AnswerLost(
                f"The gateway at {self.url} did not answer: {error or type(error).__name__}.",
                "It may have done what was asked; look before you repeat it: yizhan status",
            ) from None
        return answer.status, answer.getheader("Content-Type", ""), content


def request_headers(api_key: str, key: str | None = None) -> dict[str, str]:
    """What a request carries; without an API key none is sent, and the API says that one is needed. `key`: the
    request's idempotency key."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {api_key}"} if api_key else {}
    return headers | ({"Idempotency-Key": key} if key else {})


def unpack(status: int, content_type: str, content: bytes) -> Json:
    """The object of an answer. Raises ApiProblem for refusals and for what no gateway of ours would say."""
    shape = _object(content) if "json" in content_type else None
    if status >= 400:
        raise ApiProblem(shape or {"detail": f"The gateway answered with HTTP {status}."}, status)
    if shape is None and content:
        raise ApiProblem(
            {
                "detail": f"What answers there is no gateway (HTTP {status}, {content_type or 'no content type'}).",
                "fix": "Another program may have taken its port; restart the gateway: yizhan run",
            },
            502,
        )
    return shape or {}


def _object(content: bytes) -> Json | None:
    try:
        shape = json.loads(content)
    except ValueError:
        return None
    return shape if isinstance(shape, dict) else None


def _with_query(path: str, query: Query | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def find_running(home: Path, key_from_environment: str | None) -> RemoteApi | None:
    """The gateway that `gateway.json` names, if it answers.

    Raises:  NoGateway  its process lives and takes connections, but does not answer.
    """
    named = read_gateway_file(home)
    if named is None or not alive(named.pid):
        return None
    api = RemoteApi(named.url, read_api_key(home, key_from_environment))
    try:
        status, _, _ = api.exchange("GET", "/healthz", None, PROBE_TIMEOUT_S)
    except NoGateway:
        return None
    except AnswerLost:
        raise NoGateway(
            f"The gateway of {home} (process {named.pid}, {named.url}) does not answer.",
            f"See its log; if it hangs, end it (kill {named.pid}) and start it again: yizhan run",
        ) from None
    return api if status == 200 else None


def pause(seconds: float) -> None:
    """Waits. In an OfflineApi the store and its logins go on meanwhile, in their own thread."""
    threading.Event().wait(seconds)
