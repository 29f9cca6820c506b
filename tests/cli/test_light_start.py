"""The command starts at once: heavy libraries stay out of `--help` and of `send` to a running gateway."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ENVIRONMENT, SmallGateway, message

HEAVY = {"sqlalchemy", "fastapi", "nicegui", "uvicorn", "httpx", "aiohttp", "structlog", "yaml", "rich"}
SEND = ["send", "-t", "weixin:a@im.bot:u", "hi"]


def imported_by(arguments: list[str], home: Path) -> tuple[int, set[str]]:
    """Exit code, and the top-level modules that the verb has loaded at its end."""
    code = f"""
import sys
from yizhan.cli.main import main
code = main({arguments!r})
print(code, *sys.modules, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"YIZHAN_HOME": str(home)},
        timeout=60,
        check=True,
    )
    first, *modules = done.stderr.split()
    return int(first), {name.split(".")[0] for name in modules}


@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str], home: Path) -> None:
    """A shell asks for help often, also through completion."""
    code, modules = imported_by(arguments, home)
    assert 0 == code
    assert set() == HEAVY & modules


def test_send_to_a_running_gateway_loads_nothing_heavy(gateway: SmallGateway, home: Path) -> None:
    """Cron jobs and hooks call `send` all day long."""
    gateway.routes["POST", "/v1/messages"] = (202, message())
    code, modules = imported_by(SEND, home)
    assert 0 == code
    assert "hi" == gateway.only.body["text"]
    assert set() == HEAVY & modules


def test_the_collector_rests_while_a_gateway_is_loaded_and_works_from_then_on(home: Path) -> None:
    """Its walks through what is only loaded were a tenth of a start; left off, it would be a leak."""
    code = """
import gc
from yizhan import app
def serve(*_):
    print("loading", gc.isenabled())
    app.relieve_collector()
    print("ready", gc.isenabled(), gc.get_freeze_count() > 10_000, gc.get_threshold()[0])
    gc.collect()
app.serve, app.run = serve, lambda work: 0
from yizhan.cli.main import main
main(["run"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"YIZHAN_HOME": str(home)},
        timeout=60,
        check=True,
    )
    assert ["loading False", "ready True True 10000"] == done.stdout.splitlines()
