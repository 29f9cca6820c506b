"""What is wrong with a command line is one clear line and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, SmallGateway, message, problem

Run = Callable[..., Ran]

VERBS = [
    "demo", "run", "console", "sim", "send", "status", "doctor",
    "login weixin", "account add weixin", "account list", "account remove", "account pause", "account resume",
    "chat pause", "chat resume", "chat takeover", "chat handback",
    "access list", "access allow", "access approve", "access block", "key list", "key add", "key revoke",
    "outbox list", "outbox show", "outbox retry", "outbox cancel",
    "turn list", "turn show", "turn rerun", "turn stop",
    "schedule list", "schedule add", "schedule edit", "schedule pause", "schedule resume", "schedule run",
    "schedule remove", "schedule runs", "schedule preview", "cron list",
    "webhook list", "webhook add", "webhook pause", "webhook resume", "webhook test", "webhook deliveries",
    "webhook replay", "webhook remove",
]  # fmt: skip
"""Every verb of docs/contract.md that exists by now."""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_json_and_home(run_here: Callable[..., Ran], verb: str) -> None:
    """Programs pass these two without looking at the verb."""
    ran = run_here(*verb.split(), "--help")
    assert 0 == ran.code
    assert "--json" in ran.out
    assert "--home" in ran.out


@pytest.mark.parametrize("later", ["schedule", "cron", "chat takeover", "chat handback"])
def test_verbs_of_later_releases_are_absent_not_empty(run_here: Callable[..., Ran], later: str) -> None:
    """A verb that does nothing would be a lie."""
    assert 2 == run_here(*later.split()).code


def test_an_unknown_verb_names_the_nearest(run: Run) -> None:
    """A slip of the finger costs one look."""
    ran = run("acount", "list", "--json")
    assert (ran.code, ran.json["type"]) == (2, "urn:yizhan:problem:usage")
    assert 1 == ran.err.count("\n")
    assert "Did you mean 'account'" in ran.err


def test_home_and_json_may_stand_before_the_verb(run: Run, gateway: SmallGateway, home: Path) -> None:
    """Both places are natural, so both work."""
    gateway.routes["POST", "/v1/messages"] = (202, message())
    elsewhere = {"YIZHAN_HOME": "/nonexistent"}
    before = run("--home", str(home), "--json", "send", "-t", "weixin:u", "x", env=elsewhere)
    after = run("send", "-t", "weixin:u", "x", "--json", "--home", str(home), env=elsewhere)
    assert (0, 0, before.json) == (before.code, after.code, after.json)


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["send", "-t", "weixin:u", "x", "--expires-in", "soon"], "90s, 15m, 12h"),
        (["send", "-t", "weixin:u", "x", "--expires-in", "0"], "90s, 15m, 12h"),
        (["outbox", "list", "--since", "yesterday"], "2026-11-21T08:00:00Z"),
        (["outbox", "list", "--since", "2026-11-21T08:00:00"], "no time"),
        (["account", "add", "weixin", "--account-id", "ab12", "--token", "t"], "@im.bot"),
        (["account", "add", "weixin", "--account-id", "a b@im.bot", "--token", "t"], "@im.bot"),
        (["account", "add", "weixin", "--account-id", "qq:1@im.bot", "--token", "t"], "@im.bot"),
        (["account", "add", "weixin", "--account-id", "a@im.bot"], "--token-stdin"),
        (["account", "add", "qq", "--app-id", "bot", "--client-secret", "s"], "AppID"),
        (["account", "add", "qq", "--app-id", "102"], "--client-secret-stdin"),
        (["account", "add", "qq", "--app-id", "102", "--client-secret", "a b"], "one line"),
        (["account", "add", "weixin", "--account-id", "a@im.bot", "--token", " \n"], "empty"),
        (["account", "add", "weixin", "--account-id", "a@im.bot", "--token", "a\nb"], "one line"),
        (["account", "add", "weixin", "--account-id", "a@im.bot", "--token", "a b"], "one line"),
        (["account", "add", "weixin", "--account-id", "a@im.bot", "--token", "t", "--base-url", "x"], "https://host"),
    ],
)  # fmt: skip
def test_a_wrong_argument_says_how_to_write_it_and_asks_nothing(
    run: Run, gateway: SmallGateway, arguments: list[str], needle: str
) -> None:
    """Mistakes are found before anything happens."""
    ran = run(*arguments)
    assert (ran.code, gateway.asked) == (2, [])
    assert needle in ran.err
    assert "Traceback" not in ran.err


def test_an_argument_that_is_no_text_is_refused(run_here: Callable[..., Ran]) -> None:
    """Bytes that are no UTF-8 arrive as lone surrogates."""
    ran = run_here("outbox", "show", "m_\udcff")
    assert 2 == ran.code
    assert "UTF-8" in ran.err


@pytest.mark.parametrize("key", ["a\nb", "schlüssel"])
def test_a_key_that_can_be_none_is_named(run: Run, gateway: SmallGateway, key: str) -> None:
    """It cannot even be sent as a header."""
    ran = run("status", env={"YIZHAN_API_KEY": key})
    assert 2 == ran.code
    assert "YIZHAN_API_KEY" in ran.err
    assert key not in ran.err


def test_who_types_options_is_sent_to_the_help_and_not_to_the_schema(run: Run, gateway: SmallGateway) -> None:
    """The document for programs stays as it came."""
    fix = "The fields and their types are listed in /openapi.json."
    refused = problem("invalid-request", 422, "scopes.0 must be 'read', 'send' or 'admin'.", fix)
    gateway.routes["POST", "/v1/keys"] = (422, refused)
    ran = run("key", "add", "bot", "--scope", "root", "--json")
    assert (2, refused) == (ran.code, ran.json)
    assert "scopes.0 must be 'read'" in ran.err
    assert ran.err.rstrip().endswith("--help.")
