"""A base URL that leads to a web page instead of the API: every window says what to change."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import Ran, SmallGateway

Start = Callable[..., "subprocess.Popen[bytes]"]
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PATHS = ("ilink/bot/getupdates", "ilink/bot/msg/notifystart", "ilink/bot/getconfig")


def _accounts(url: str, home: Path) -> list[dict[str, Any]]:
    key = (home / "api-key").read_text().strip()
    asked = urllib.request.Request(f"{url}/v1/accounts", headers={"Authorization": f"Bearer {key}"})
    with DIRECT.open(asked, timeout=10) as answer:
        return list(json.load(answer)["items"])


def test_an_account_whose_base_url_answers_a_web_page_says_what_to_change(
    run: Callable[..., Ran], start: Start, home: Path, gateway: SmallGateway
) -> None:
    """The commonest mistake with a proxy in between: "down" alone would send people to look at their network."""
    for path in PATHS:
        gateway.routes["POST", f"/{path}"] = (200, "<!doctype html><title>Sign in</title>")
    (home / "gateway.json").unlink()
    relay = start("run", env={"YIZHAN_SERVER__PORT": "0", "YIZHAN_CONSOLE__ENABLED": "false"})
    assert relay.stdout is not None
    url = relay.stdout.readline().decode().split()[1]
    add = ("account", "add", "weixin", "--account-id", "ab12@im.bot", "--base-url", gateway.url)
    assert 0 == run(*add, "--token-stdin", stdin="ab12@im.bot:token").code
    end = time.monotonic() + 20
    while (account := _accounts(url, home)[0])["state"] not in ("degraded", "down"):
        assert time.monotonic() < end, account
        time.sleep(0.1)
    assert "base URL" in account["reason"]["text"]
    assert "base URL" in run("status").out
    relay.terminate()
    logged = relay.communicate(timeout=20)[1].decode()
    [line, *_] = [line for line in logged.splitlines() if "account.state" in line]
    assert "base URL" in line
