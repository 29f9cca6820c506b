"""A QQ client of our own, as small as can be, that speaks to a world without sockets."""

from __future__ import annotations

import json
from typing import Any

from yizhan_simulator import SimReply, SimRequest, World
from yizhan_simulator.qq.people import ALL_INTENTS, QqBot
from yizhan_simulator.qq.side import SocketLine
from yizhan_simulator.qq.socket import HangUp, Text

NOW = 1_790_000_000_000
HOST = "http://sim.test"


class QqCaller:
    """One bot's view of a world. `now_ms` is moved by the test; `frames` are those read so far, oldest first."""

    def __init__(self, world: World, bot: QqBot, now_ms: int = NOW) -> None:
        self.world, self.bot, self.now_ms = world, bot, now_ms
        self.token = ""
        self.line: SocketLine | None = None
        self.frames: list[dict[str, Any]] = []
        self.ends: list[int] = []
        self.session_id, self.seq = "", 0

    # HTTP.

    def reply(self, method: str, path: str, body: Any = None, **headers: str) -> SimReply:
        given = {"Authorization": f"QQBot {self.token}", **headers}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        answer = self.world.handle(SimRequest.of(method, f"{HOST}{path}", given, raw), self.now_ms)
        assert isinstance(answer, SimReply)
        return answer

    def json(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return json.loads(self.reply(method, path, body, **headers).body)

    def get_token(self, secret: str | None = None, app_id: str | None = None) -> Any:
        told = self.json(
            "POST", "/app/getAppAccessToken",
            {"appId": app_id or self.bot.app_id, "clientSecret": secret or self.bot.secret},
        )  # fmt: skip
        self.token = told.get("access_token", self.token)
        return told

    def send(self, path: str, text: str, **body: Any) -> Any:
        """`code` 0 stands for success."""
        told = self.json("POST", path, {"msg_type": 0, "content": text, **body})
        return {"code": 0, **told}

    def c2c(self, user: str, text: str, **body: Any) -> Any:
        return self.send(f"/v2/users/{self.world.qq.openid(self.bot.name, user)}/messages", text, **body)

    def group(self, group: str, text: str, **body: Any) -> Any:
        openid = self.world.qq.group_openid(self.bot.name, group)
        return self.send(f"/v2/groups/{openid}/messages", text, **body)

    # The socket.

    def connect(self, url: str = "") -> SocketLine:
        """`url`: empty asks for it."""
        wanted = url or self.json("GET", "/gateway")["url"]
        opened = self.world.qq.connect(SimRequest.of("GET", wanted), self.now_ms)
        assert isinstance(opened, SocketLine), opened
        self.line = opened
        return opened

    def put(self, frame: Any) -> None:
        assert self.line is not None
        self.line.deliver(frame if isinstance(frame, str) else json.dumps(frame), self.now_ms)

    def read(self) -> list[dict[str, Any]]:
        """New frames; a close becomes an entry of `ends`. What is not JSON becomes `{"odd": text}`."""
        assert self.line is not None
        self.world.advance(self.now_ms)
        new: list[dict[str, Any]] = []
        for outgoing in self.line.take():
            match outgoing:
                case HangUp(code, _):
                    self.ends.append(code)
                case Text(text):
                    new.append(_parsed(text))
        for frame in new:
            self._follow(frame)
        self.frames += new
        return new

    def _follow(self, frame: dict[str, Any]) -> None:
        if frame.get("t") == "READY":
            self.session_id = frame["d"]["session_id"]
        if type(frame.get("s")) is int:
            self.seq = max(self.seq, frame["s"])

    def identify(self, intents: int = ALL_INTENTS, **more: Any) -> list[dict[str, Any]]:
        """Token, address, HELLO, IDENTIFY; what came back after HELLO."""
        if not self.token:
            self.get_token()
        self.connect()
        self.read()
        self.put(
            {"op": 2, "d": {"token": f"QQBot {self.token}", "intents": intents, "shard": [0, 1], **more}}
        )
        return self.read()

    def resume(
        self, seq: int | None = None, session_id: str | None = None, url: str = ""
    ) -> list[dict[str, Any]]:
        self.connect(url)
        self.read()
        wish = {
            "token": f"QQBot {self.token}",
            "session_id": self.session_id if session_id is None else session_id,
            "seq": self.seq if seq is None else seq,
        }
        self.put({"op": 6, "d": wish})
        return self.read()

    def beat(self) -> list[dict[str, Any]]:
        self.put({"op": 1, "d": self.seq or None})
        return self.read()

    def later(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.world.advance(self.now_ms)


def _parsed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"odd": text}
    return value if isinstance(value, dict) else {"odd": value}


def events(frames: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """(type, content or id) of what was dispatched, READY and RESUMED left out."""
    told = [frame for frame in frames if frame.get("op") == 0 and frame.get("t") not in ("READY", "RESUMED")]
    return [
        (frame["t"], frame["d"].get("content") if isinstance(frame["d"], dict) else None) for frame in told
    ]
