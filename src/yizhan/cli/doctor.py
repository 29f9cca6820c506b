"""`yizhan doctor`: looks at everything that can be wrong and says what to change.

Each check yields findings (`checkup.py` for this machine, `checkup_agent.py` for who answers,
`checkup_gateway.py` and `checkup_rooms.py` for what only the gateway knows); one that cannot be carried out is a
finding too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from yizhan.cli.client import Api, Json
from yizhan.cli.findings import Finding, Level, as_object, fail, ok, warn
from yizhan.cli.paper import safe
from yizhan.cli.trouble import DONE, FAILED, ApiProblem, NoGateway
from yizhan.cli.verb import Desk, verb
from yizhan.errors import SettingsError, YizhanError

if TYPE_CHECKING:
    from yizhan.settings import Settings

SIGNS = {Level.OK: "ok  ", Level.WARN: "WARN", Level.FAIL: "FAIL"}
COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def register(group: typer.Typer) -> None:
    """Adds the verb."""

    @verb(group)
    def doctor(desk: Desk) -> int:
        """Check configuration, home, store, clock, secrets, agent and accounts; say what to change.

        Exit code: 1 if anything is broken, 0 otherwise (warnings included).
        """
        findings = []
        for finding in _examine(desk):
            findings.append(finding)
            if not desk.as_json:
                _print(finding)
        broken = any(finding.level is Level.FAIL for finding in findings)
        if desk.as_json:
            desk.show({"ok": not broken, "findings": [as_object(finding) for finding in findings]})
        return FAILED if broken else DONE


def _print(finding: Finding) -> None:
    sign = SIGNS[finding.level]
    if sys.stdout.isatty():
        sign = typer.style(sign, fg=COLOURS[finding.level])
    print(f"{sign} {finding.check}: {safe(finding.text)}", flush=True)
    if finding.fix:
        print(f"       → {safe(finding.fix)}", flush=True)


def _examine(desk: Desk) -> Iterator[Finding]:
    """Every finding, as it is made. Without a sound configuration the rest cannot be looked at."""
    from yizhan import settings
    from yizhan.cli import checkup

    yield from checkup.check_home(desk.home)
    try:
        chosen = settings.load(desk.home, os.environ)
    except SettingsError as error:
        yield fail("configuration", error.detail, error.fix)
        return
    yield ok("configuration", "readable, every key is known")
    yield from _examine_with(desk, chosen)


def _examine_with(desk: Desk, settings: Settings) -> Iterator[Finding]:
    from yizhan.cli import checkup, checkup_agent

    yield checkup.check_secrets(os.environ, desk.home)
    try:
        with desk.api() as api:
            yield from _examine_open(api, settings)
    except YizhanError as error:
        yield fail(
            "gateway" if isinstance(error, NoGateway | ApiProblem) else "store", error.detail, error.fix
        )
        yield from checkup_agent.check_agent(settings)


def _examine_open(api: Api, settings: Settings) -> Iterator[Finding]:
    """What only the gateway or the opened store can tell."""
    from yizhan.cli import checkup, checkup_gateway, checkup_rooms
    from yizhan.runtime.clock import SystemClock

    accounts = checkup_gateway.accounts_of(api)
    yield checkup.check_clock(SystemClock().now_ms(), checkup_gateway.newest_ms(api, accounts))
    yield from checkup_rooms.check_rooms(api, settings)
    if api.running:
        yield checkup_gateway.check_running(api, accounts)
        yield from checkup_gateway.check_accounts(accounts)
        yield from checkup_gateway.check_alerts(api)
        yield from _examine_agent(checkup_gateway.agent_of(api), settings)
    else:
        yield from _examine_stopped(api, accounts, settings)


def _examine_stopped(api: Api, accounts: Sequence[Json], settings: Settings) -> Iterator[Finding]:
    """What can be tried because no gateway does it: the store, the port, the logins."""
    from yizhan.cli import checkup, checkup_agent, checkup_gateway
    from yizhan.cli.offline import OfflineApi

    assert isinstance(api, OfflineApi)
    yield ok("store", "opens, and is not in use by another program")
    yield warn("gateway", "not running: nothing is received or sent", "Start it: yizhan run")
    yield from checkup.check_port(settings)
    yield from checkup_gateway.check_logins(accounts, api.examine())
    yield from checkup_agent.check_agent(settings)


def _examine_agent(running: str, settings: Settings) -> Iterator[Finding]:
    """Who answers, unless the running gateway was told otherwise than what is configured here."""
    from yizhan.cli import checkup_agent

    if running == settings.agent:
        yield from checkup_agent.check_agent(settings)
    else:
        yield warn(
            "agent",
            f"the running gateway asks {running}, while {settings.agent} is configured here",
            "Restart it if the configuration has changed; or run doctor with the gateway's environment.",
        )
