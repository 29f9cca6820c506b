"""Checks of who answers: somebody is named, and can be reached. No question is asked of a model."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
from collections.abc import Iterator
from typing import assert_never
from urllib.parse import urlsplit

from yizhan.cli.findings import Finding, fail, ok, warn
from yizhan.core.addresses import judge_address, number_of
from yizhan.settings import AgentSettings, CommandAgent, OpenAiAgent, Settings, WebhookAgent

TIMEOUT_S = 5
READ_MAX_BYTES = 4 * 1024 * 1024


_AT_HOME = (".local", ".lan", ".internal", ".home.arpa", ".localhost")


def check_agent(settings: Settings) -> Iterator[Finding]:
    """The agent that `agent` names, and those that routes and choices name beside it."""
    yield from _check_default(settings)
    beside = {route.agent for route in settings.routes} | set(settings.agent_choices)
    for name in sorted((beside & set(settings.agents)) - {settings.agent}):
        yield _check(name, settings.agents[name], settings)
    for name in sorted((beside | {settings.agent}) & set(settings.agents)):
        yield from _check_key(name, settings.agents[name])


def _check_default(settings: Settings) -> Iterator[Finding]:
    if settings.agent == "none":
        yield warn(
            "agent",
            "none: nobody answers; messages are kept and shown to programs as events",
            "Set agent to echo or to a name under agents, if somebody should answer.",
        )
    elif settings.agent == "echo":
        yield ok("agent", "echo answers with what was said")
    else:
        yield _check(settings.agent, settings.agents[settings.agent], settings)


def _check(name: str, agent: AgentSettings, settings: Settings) -> Finding:
    match agent:
        case OpenAiAgent():
            return _check_endpoint(name, agent)
        case CommandAgent():
            return _check_command(name, agent, settings)
        case WebhookAgent():
            return _check_webhook(name, agent)
        case _:
            assert_never(agent)


def _check_key(name: str, agent: AgentSettings) -> Iterator[Finding]:
    """A key that travels in the clear can be read on the way; that of an agent may be good for everything it can do."""
    if isinstance(agent, OpenAiAgent) and agent.api_key and _in_the_clear(agent.base_url):
        yield warn(
            "agent",
            f"{name}: the key is sent without TLS to {urlsplit(agent.base_url).hostname}",
            f"Use https in agents.{name}.base_url, or an address at home.",
        )


def _in_the_clear(url: str) -> bool:
    """Whether the URL leads out of the house without TLS. Names without a dot are taken for machines at home."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme != "http" or not host:
        return False
    if (number := number_of(host)) is not None:
        return judge_address(str(number)) is None
    return "." in host and not host.endswith(_AT_HOME)


def _check_command(name: str, agent: CommandAgent, settings: Settings) -> Finding:
    program = agent.argv[0]
    path = agent.env.get("PATH")
    cwd = agent.cwd or str(settings.home)
    found = shutil.which(
        f"{cwd}/{program}" if "/" in program and not program.startswith("/") else program, path=path
    )
    if found is None:
        fix = f"Install it, or set agents.{name}.argv to the full path of an executable file."
        return fail("agent", f"{name}: the program {program} is not found or not executable", fix)
    return ok("agent", f"{name}: {found}")


def _check_endpoint(name: str, agent: OpenAiAgent) -> Finding:
    """Asks for the list of models, which every OpenAI-compatible endpoint has."""
    key = f"agents.{name}"
    url = f"{agent.base_url.rstrip('/')}/models"
    try:
        status, body = _get(url, agent.api_key)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = str(error) or type(error).__name__
        return fail(
            "agent", f"{name}: {url} cannot be reached: {why}", f"Start it, or correct {key}.base_url."
        )
    if status in (401, 403):
        return fail("agent", f"{name}: {url} refuses the key (HTTP {status})", f"Correct {key}.api_key.")
    models = _models(body) if status == 200 else None
    if models is None:
        fix = f"Correct {key}.base_url; most end in /v1. If it has no list of models, ignore this."
        return warn("agent", f"{name}: {url} answers, but not with a list of models (HTTP {status})", fix)
    if models and agent.model not in models:
        some = ", ".join(sorted(models)[:5])
        return warn(
            "agent",
            f"{name}: the endpoint lists no model {agent.model!r}",
            f"Set {key}.model; there are: {some}",
        )
    return ok("agent", f"{name}: {agent.base_url} answers, model {agent.model}")


def _check_webhook(name: str, agent: WebhookAgent) -> Finding:
    """Looks whether somebody listens. Nothing is posted: a question is a question."""
    parts = urlsplit(agent.url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        why = str(error) or type(error).__name__
        fix = f"Start it, or correct agents.{name}.url."
        return fail("agent", f"{name}: {agent.url} cannot be reached: {why}", fix)
    return ok("agent", f"{name}: {parts.hostname} listens")


def _get(url: str, api_key: str) -> tuple[int, bytes]:
    """One GET, redirects not followed, bounded in time and size. Raises OSError, HTTPException, ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("this is no http or https address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    line = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    try:
        line.request("GET", parts.path, headers=headers)
        answer = line.getresponse()
        return answer.status, answer.read(READ_MAX_BYTES)
    finally:
        line.close()


def _models(body: bytes) -> set[str] | None:
    """Names in `{"data":[{"id"}]}`; None if it is no such list."""
    try:
        rows = json.loads(body)["data"]
        return {str(row["id"]) for row in rows}
    except (ValueError, KeyError, TypeError):
        return None
