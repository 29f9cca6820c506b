"""Whatever a client sends, the world answers; and the core keeps its promises about what it imports."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yizhan_simulator import Hold, SimReply, SimRequest, World
from yizhan_simulator.world import ENDPOINTS

SOURCE = Path(__file__).resolve().parents[2] / "src" / "yizhan_simulator"
T = 1_790_000_000_000

NAMES = [
    "msg", "to_user_id", "item_list", "type", "text_item", "text", "client_id", "message_type", "message_state",
    "get_updates_buf", "ilink_user_id", "typing_ticket", "status", "local_token_list", "filekey", "rawsize",
    "filesize", "image_item", "file_item", "media", "len", "context_token", "from_user_id", "aeskey", "media_type",
]  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-5, 2**64) | st.floats() | st.text(max_size=8)
LEAVES |= st.sampled_from([1, 2, 3, 4, "u@im.wechat", "²", "0" * 32])
BODIES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)


@given(
    call=st.sampled_from([*ENDPOINTS, "nothing"]),
    body=BODIES,
    version=st.sampled_from(["", "²", "1", "9" * 99]),
)
def test_whatever_is_sent_is_answered(call: str, body: Any, version: str) -> None:
    """Other people's programs are pointed at this server; it must outlive their mistakes."""
    world = World()
    user = world.add_user("Ann", "u@im.wechat")
    bot = world.add_bot(user, token="b@im.bot:1")
    world.say(user, "hi", T)
    headers = {
        "Authorization": f"Bearer {bot.token}",
        "AuthorizationType": "x",
        "iLink-App-ClientVersion": version,
    }
    prefix = "" if call.startswith("c2c") else "ilink/bot/"
    url = f"http://h/{prefix}{call}?bot_type=3&qrcode=x&encrypted_query_param=y&filekey=z&verify_code=1"
    raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    answer = world.handle(SimRequest.of("POST", url, headers, raw), T)
    if isinstance(answer, Hold):
        answer = world.resume(answer, answer.until_ms)
    assert isinstance(answer, SimReply)
    assert 200 <= answer.status < 600


@given(message_type=st.just(2), item=st.dictionaries(st.sampled_from(NAMES), BODIES, max_size=4))
def test_whatever_is_in_an_item_is_judged(message_type: int, item: Any) -> None:
    """As above, but deep inside an otherwise good send."""
    world = World()
    user = world.add_user("Ann", "u@im.wechat")
    bot = world.add_bot(user)
    world.say(user, "hi", T)
    headers = {"Authorization": f"Bearer {bot.token}", "AuthorizationType": "x"}
    msg = {
        "to_user_id": user,
        "message_type": message_type,
        "from_user_id": "",
        "client_id": "c",
        "item_list": [item],
    }
    raw = json.dumps({"msg": msg}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    answer = world.handle(SimRequest.of("POST", "http://h/ilink/bot/sendmessage", headers, raw), T)
    assert isinstance(answer, SimReply)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_the_simulator_imports_nothing_of_the_gateway() -> None:
    """One misreading of the protocol must not confirm itself."""
    names = {name for path in SOURCE.glob("**/*.py") for name in imports(path)}
    assert set() == {name for name in names if name == "yizhan" or name.startswith("yizhan.")}
    assert "yizhan_simulator.world" in names


@pytest.mark.parametrize(
    "module",
    ["wire", "agenda", "knobs", "limits", "weather", "ledger", "people", "cdn", "state", "replies", "phone",
     "polling", "sending", "presence", "login", "world"],
)  # fmt: skip
def test_the_core_knows_neither_clock_nor_socket(module: str) -> None:
    """It runs in virtual time because nothing in it reads time, chance or the network."""
    outside = {
        "asyncio",
        "socket",
        "time",
        "datetime",
        "aiohttp",
        "os",
        "threading",
        "secrets",
        "uuid",
        "random",
    }
    assert set() == imports(SOURCE / f"{module}.py") & (outside - {"random"})
    assert "random.random()" not in (SOURCE / f"{module}.py").read_text(encoding="utf-8")
