"""The roster: those who answer, by name, and who of them answers what. Several are alive at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from yizhan.core.routing import NOBODY, Chosen, Route, choose
from yizhan.model import Inbound, Target, Turn
from yizhan.ports import Agent
from yizhan.settings import Settings


class Roster:
    """`default` and the values of `routes` are names of `agents`, or nobody's; `open_to_all`: the names that everybody
    may choose for a chat. `limits`: how much of the history each is told."""

    def __init__(
        self,
        agents: Mapping[str, Agent],
        default: str,
        routes: Sequence[Route] = (),
        open_to_all: frozenset[str] = frozenset(),
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self._agents = agents
        self._default = default
        self._routes = routes
        self._open_to_all = open_to_all
        self._limits = limits or {}
        self._by_chat: dict[Target, str] = {}

    def load(self, chosen: Mapping[Target, str]) -> None:
        """What was chosen for chats. A name that is gone by now chooses nothing."""
        self._by_chat = {target: name for target, name in chosen.items() if name in self._agents}

    def prefer(self, target: Target, name: str) -> None:
        """From now on this one answers the chat; the default's name: as routes say."""
        if name == self._default:
            self._by_chat.pop(target, None)
        else:
            self._by_chat[target] = name

    def kept(self, name: str) -> str:
        """What is to be kept of the choice of a name."""
        return "" if name == self._default else name

    def of(self, target: Target, text: str = "") -> Chosen:
        return choose(self._routes, self._default, self._by_chat.get(target, ""), target, text)

    def asked(self, asked: Sequence[Inbound]) -> Chosen:
        """Who answers these messages of a chat: the first of them decides."""
        return self.of(Target(asked[0].account, asked[0].chat), asked[0].text)

    def elsewhere(self, agent: str, inbound: Inbound) -> bool:
        """Whether a message begins with the word of somebody else than that agent."""
        chosen = self.asked([inbound])
        return chosen.by_word and chosen.agent != agent

    def told(self, agent: str, inbound: Inbound) -> str:
        """A message's text as that agent is told it: the word that has chosen it is not meant for it."""
        chosen = self.asked([inbound])
        return chosen.text if chosen.by_word and chosen.agent == agent else inbound.text

    def answers(self, target: Target, text: str) -> bool:
        return self.of(target, text).agent != NOBODY

    def agent(self, turn: Turn) -> Agent | None:
        """Who answers a turn; None: he was there when it was opened, and is not any more."""
        return self._agents.get(turn.agent)

    def history_limit(self, turn: Turn) -> int:
        return self._limits.get(turn.agent, 0)

    def choices(self, admin: bool) -> tuple[str, ...]:
        """Whom somebody may choose for a chat. Whoever may choose at all finds the way back to the default."""
        open_to_all = self._open_to_all and self._open_to_all | {self._default}
        return tuple(name for name in self._agents if admin or name in open_to_all)

    def choice(self, given: str, admin: bool) -> str | None:
        """Who of them is meant by a name as people type it; None: nobody."""
        choices = self.choices(admin)
        alike = (name for name in choices if _plain(name) == _plain(given))
        return given if given in choices else next(alike, None)

    @property
    def anybody(self) -> bool:
        return bool(self._agents)


def _plain(name: str) -> str:
    """Phones begin with a capital, and Chinese keyboards write wide letters."""
    return unicodedata.normalize("NFKC", name).casefold()


def roster_of(settings: Settings, default: Agent | None, others: Mapping[str, Agent]) -> Roster:
    """Who answers what. The default may have another name than its key, where it was put there by hand."""
    name = default.name if default else NOBODY
    agents = dict(others) | ({name: default} if default else {})
    limits = {key: _history_limit_of(settings, key) for key in others}
    limits[name] = _history_limit_of(settings, settings.agent)
    routes = tuple(
        Route(route.agent, route.platform, route.account, route.chat, route.prefix)
        for route in settings.routes
    )
    return Roster(agents, name, routes, frozenset(settings.agent_choices), limits)


def _history_limit_of(settings: Settings, name: str) -> int:
    agent = settings.agents.get(name)
    return 0 if agent is None else agent.lines_needed
