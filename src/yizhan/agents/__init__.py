"""Those who answer: one small file each, behind the port `Agent`.

`make_agent` is the only door. An agent gets a Question and says its answer in pieces; it never sends, never
sees a store, and its failures are AgentFailed with one of these codes:

    agent-unreachable    no connection, no such host, the program cannot be started
    agent-refused        the endpoint does not take the API key
    agent-not-found      no such address, model or program
    agent-busy           the endpoint is limiting us
    agent-web-page       the base URL answers a web page, not an API
    agent-error          the endpoint or the program says that it failed
    agent-timeout        no byte for too long, or no end in time
    agent-silent         an answer without any text
    agent-broken-stream  the answer broke off, or made no sense
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from yizhan.agents.command import CommandAnswers
from yizhan.agents.echo import Echo
from yizhan.agents.openai import OpenAiAnswers
from yizhan.agents.webhook import WebhookAnswers
from yizhan.ports import Agent
from yizhan.settings import CommandAgent, OpenAiAgent, Settings, WebhookAgent

FAILURE_CODES = (
    "agent-unreachable",
    "agent-refused",
    "agent-not-found",
    "agent-busy",
    "agent-web-page",
    "agent-error",
    "agent-timeout",
    "agent-silent",
    "agent-broken-stream",
)


def make_agent(name: str, settings: Settings, now_ms: Callable[[], int]) -> Agent | None:
    """The agent of that name; None for `none`. `settings` has checked that every other name exists; `now_ms` is the
    clock's."""
    if name == "none":
        return None
    if name == "echo":
        return Echo()
    match settings.agents[name]:
        case OpenAiAgent() as chosen:
            return OpenAiAnswers(name, chosen, settings.language)
        case CommandAgent() as chosen:
            return CommandAnswers(name, chosen, settings.home, settings.language)
        case WebhookAgent() as chosen:
            return WebhookAnswers(name, chosen, settings.language, now_ms)
        case unknown:
            assert_never(unknown)
