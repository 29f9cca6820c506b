"""Which agent a name means, and what echo says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.agents.conftest import answers, ask
from yizhan.agents import make_agent
from yizhan.agents.command import CommandAnswers
from yizhan.agents.openai import OpenAiAnswers
from yizhan.agents.webhook import WebhookAnswers
from yizhan.settings import Settings, load

AGENTS: dict[str, Any] = {
    "main": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "tiny"},
    "tool": {"kind": "command", "argv": ["cat"]},
    "hook": {"kind": "webhook", "url": "http://127.0.0.1:1/", "secret": "0123456789abcdef"},
}


def now_ms() -> int:
    return 0


def settings(tmp_path: Path) -> Settings:
    return load(tmp_path, {}, {"agents": AGENTS})


async def test_names_make_the_agents_they_stand_for(tmp_path: Path) -> None:
    """The composition root asks by name and gets a port."""
    chosen = settings(tmp_path)
    assert make_agent("none", chosen, now_ms) is None
    echo, main, tool = (make_agent(name, chosen, now_ms) for name in ("echo", "main", "tool"))
    assert isinstance(make_agent("hook", chosen, now_ms), WebhookAnswers)
    assert isinstance(main, OpenAiAnswers)
    assert isinstance(tool, CommandAnswers)
    assert ["echo", "main", "tool"] == [agent.name for agent in (echo, main, tool) if agent]
    assert ["hello"] == await answers(tool, ask("hello"))


async def test_agents_close_without_having_been_asked(tmp_path: Path) -> None:
    """A gateway stops before its first message, too."""
    for name in ("echo", "main", "tool", "hook"):
        agent = make_agent(name, settings(tmp_path), now_ms)
        assert agent is not None
        await agent.close()


async def test_echo_says_what_it_was_told(tmp_path: Path) -> None:
    """Merged messages come back as one, other items by the names that the question gives them."""
    echo = make_agent("echo", settings(tmp_path), now_ms)
    assert echo is not None
    assert ["one\ntwo\n[image cat.png]"] == await answers(echo, ask("one\ntwo\n[image cat.png]"))
    assert [] == await answers(echo, ask(" \n"))
