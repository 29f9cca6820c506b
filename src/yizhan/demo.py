"""`yizhan demo`: a simulated WeChat and QQ with phones in the browser, and a gateway with a console, in one go.

The simulator is a process of its own, so that it can be cut off while the gateway runs; the gateway is this
process. It holds the simulator's standard input, so that the simulator ends with it, even if it is killed.
Everything lies in one directory that is named at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yizhan import app, home, settings
from yizhan.errors import SettingsError
from yizhan.model import Credentials
from yizhan.runtime.gateway import Gateway
from yizhan.web import console_path

BOT_ID = "demo0000cafe@im.bot"
PERSON = "o9cq80demo0000000000000000ann@im.wechat"
OTHER = "o9cq80demo0000000000000000lin@im.wechat"
THIRD = "o9cq80demo0000000000000000bob@im.wechat"
APP_ID = "102000000"
APP_SECRET = "DemoSecretOfTheSimulatedBot0"
QQ_BOT = "Bot Q"
START_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Simulator:
    """Where the simulated platforms answer, where their phones are, and the id of the QQ group to write to."""

    url: str
    phone_url: str
    group: str


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What `yizhan demo` was given. `agent_url` and `model` replace the echo by a real model."""

    home: Path | None
    port: int = 0
    agent_url: str = ""
    model: str = ""
    agent_key: str = ""


def run(options: DemoOptions) -> int:
    """Runs the demo until Ctrl-C; answers the exit code."""
    where = options.home or Path(tempfile.mkdtemp(prefix="yizhan-demo-"))
    return app.run(_demo(where, options))


async def _demo(where: Path, options: DemoOptions) -> int:
    home.prepare(where)
    settings_of(where, options, "")
    async with _simulator(where) as simulator:
        chosen = settings_of(where, options, simulator.url)
        return await app.serve(
            chosen, lambda station: _welcome(where, simulator, station), _link(simulator.url)
        )


def settings_of(where: Path, options: DemoOptions, login_url: str) -> settings.Settings:
    """The demo's own configuration; the environment is not asked: it may be that of a gateway at work. QR logins begin
    at the simulator."""
    overrides: dict[str, Any] = {
        "server": {"port": options.port},
        "access": {"policy": "open"},
        "agent": "echo",
        "logging": {"level": "warning"},
        "weixin": {"login_url": login_url},
    }
    if options.agent_url:
        if not options.agent_url.startswith(("http://", "https://")):
            raise SettingsError(
                "AGENT_URL must begin with http:// or https://.",
                "For example: AGENT_URL=http://127.0.0.1:11434/v1",
            )
        if not options.model:
            raise SettingsError(
                "AGENT_URL needs a MODEL as well.", "For example: make demo AGENT_URL=… MODEL=llama3"
            )
        model = {
            "kind": "openai",
            "base_url": options.agent_url,
            "model": options.model,
            "api_key": options.agent_key,
        }
        overrides |= {"agent": "model", "agents": {"model": model}}
    return settings.load(where, {}, overrides)


@contextlib.asynccontextmanager
async def _simulator(where: Path) -> AsyncIterator[Simulator]:
    """The simulator as a child process."""
    script = where / "simulator.json"
    home.write_private(script, json.dumps(_script()))
    command = [sys.executable, "-m", "yizhan_simulator", "--port", "0", "--script", str(script)]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--until-stdin-closes",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=dict(os.environ),
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            url, phone_url = [await _address(process) for _ in range(2)]
            group = await asyncio.to_thread(_group_id, url)
        watching = asyncio.create_task(_watch(process, where))
        yield Simulator(url, phone_url, group)
        watching.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _watch(process: asyncio.subprocess.Process, where: Path) -> None:
    """Says it when the simulator has ended by itself: the phone page is gone then, and nothing can arrive."""
    await process.wait()
    again = f"{command()} demo --home {shlex.quote(str(where))}"
    app.say(f"\n  The simulated WeChat and QQ have ended. Stop with Ctrl-C and start again:\n    {again}\n")


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    words = (await process.stdout.readline()).decode().split()
    if len(words) != 2:
        raise SettingsError("The simulator did not start.", "Run yizhan sim to see why.")
    return words[1]


def _group_id(url: str) -> str:
    """What the QQ bot calls its group; the platform gives each bot other ids."""
    with urllib.request.urlopen(f"{url}/_sim/qq/rooms", timeout=START_TIMEOUT_S) as answer:
        [room] = json.load(answer)["rooms"]
    return str(room["seats"][APP_ID]["openid"])


def _script() -> dict[str, Any]:
    people = ["Ann", "小林", "Bob"]
    return {
        "users": [
            {"name": "Ann", "user_id": PERSON},
            {"name": "小林", "user_id": OTHER},
            {"name": "Bob", "user_id": THIRD},
        ],
        "bots": [{"user": "Ann", "token": _token(), "bot_id": BOT_ID}],
        "qq": {
            "bots": [{"name": QQ_BOT, "app_id": APP_ID, "secret": APP_SECRET}],
            "groups": [{"name": "Tea 茶馆", "members": people, "bots": [QQ_BOT]}],
        },
    }


def _token() -> str:
    return f"{BOT_ID}:060000demo"


def _link(url: str) -> app.Prepare:
    """Adds the demo's accounts: WeChat's as after a QR login, QQ's as by `account add qq`."""

    async def link(gateway: Gateway) -> None:
        credentials = Credentials(_token(), url, f"{url}/c2c", user_id=PERSON)
        await gateway.add_account("weixin", BOT_ID, credentials)
        await gateway.add_account("qq", APP_ID, Credentials(APP_SECRET, url, token_url=url))

    return link


def command() -> str:
    """What starts this very program when typed in another terminal: `yizhan` where that finds it, else its path."""
    script = _script_path()
    if script is None:
        return f"{shlex.quote(sys.executable)} -m yizhan"
    found = shutil.which("yizhan", path=_path_elsewhere())
    return "yizhan" if found and os.path.samefile(found, script) else shlex.quote(str(script))


def _script_path() -> Path | None:
    """The console script that runs, or the one beside the interpreter (`python -m yizhan`)."""
    for path in (Path(sys.argv[0]), Path(sys.executable).with_name("yizhan")):
        if path.name == "yizhan" and path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
    return None


def _path_elsewhere() -> str:
    """PATH as another terminal has it: a virtual environment is activated in this one only."""
    activated = os.path.join(os.environ.get("VIRTUAL_ENV") or os.devnull, "bin")
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if folder != activated)


def speaks_chinese(environ: Mapping[str, str]) -> bool:
    """Whether a terminal does: by the first of the usual variables that is set."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    return next(filter(None, map(environ.get, names)), "").lower().startswith("zh")


def _welcome(where: Path, simulator: Simulator, station: app.Station) -> None:
    chinese = speaks_chinese(os.environ)
    is_model = station.gateway.settings.agent == "model"
    text = (_CHINESE if chinese else _ENGLISH).format(
        phone=simulator.phone_url,
        console=station.url + console_path(station.api),
        answering=(_ANSWERING_CHINESE if chinese else _ANSWERING)[is_model],
        yizhan=command(),
        home=shlex.quote(str(where)),
        person=PERSON,
        bot=QQ_BOT,
        group=f"{APP_ID}:group/{simulator.group}",
    )
    app.say(text.removesuffix("\n"))


_ANSWERING = ("an echo answers: it says back what you write", "your model answers")
_ANSWERING_CHINESE = ("回声程序负责回答：你写什么，它就回什么", "由你的模型回答")

_ENGLISH = """
  Yizhan runs, between simulated WeChat and QQ and an agent ({answering}).
  Nothing leaves this machine, and no account is needed.

    phone     {phone}
              three people's phones, as WeChat and QQ would show them
    console   {console}
              what the gateway does, message by message

  Open both addresses in a browser, side by side. Then try:

    1. On the phone page you are Ann. Open the WeChat chat with Bot 1 and write; the answer appears below.
       Do the same on QQ: in the chat with {bot}, and in the group, where the bot hears what mentions it.
    2. In the console, watch the answers become "delivered": that is the platform's receipt, not a guess.
    3. On the phone page, start an outage or a limit, or end QQ's connection, and write on. What waits arrives
       afterwards, in order.
    4. Let a program write, after step 1 (WeChat lets a bot write only to who has written to it).
       In another terminal, to Ann on WeChat and to the group on QQ:

       {yizhan} send --home {home} -t weixin:{person} "hello from the shell"
       {yizhan} send --home {home} -t qq:{group} "hello from the shell"

  The console's address works once, within five minutes. For a new one: {yizhan} console --home {home}
  Everything lies in {home}; remove it when you are done. Ctrl-C ends the demo.
"""

_CHINESE = """
  驿站已启动：一边是模拟的微信和 QQ，一边是智能体（{answering}）。
  一切都在本机，不需要任何账号。

    手机      {phone}
              三个人的手机，界面如同微信和 QQ
    控制台    {console}
              逐条显示网关正在做什么

  请在浏览器里并排打开这两个地址，然后试试：

    1. 在手机页面你是 Ann。打开微信里与 Bot 1 的聊天，写一句话，回答会出现在下面。
       再到 QQ 试试：与 {bot} 单聊，或者在群里写（机器人听得到提到它的话）。
    2. 在控制台看这些回答变成“已送达”：那是平台给的回执，不是猜测。
    3. 在手机页面开始一次断网或限流，或者断开 QQ 的连接，继续写。等待的消息随后按顺序到达，一条不少。
    4. 做完第 1 步后，让程序主动发消息（微信只允许机器人给先写过信的人发消息）。
       在另一个终端里，发给微信里的 Ann，和 QQ 群：

       {yizhan} send --home {home} -t weixin:{person} "来自命令行的问候"
       {yizhan} send --home {home} -t qq:{group} "来自命令行的问候"

  控制台地址只能用一次，五分钟内有效。要新的地址：{yizhan} console --home {home}
  所有文件都在 {home}，用完删除即可。按 Ctrl-C 结束演示。
"""
