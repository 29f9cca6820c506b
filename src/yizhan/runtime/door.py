"""The door: who may talk to the agent, and how often. Keeps in memory what the store has first: the written rules, and
when each person was heard lately."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from dataclasses import dataclass, replace

from yizhan.core.access import AccessNumbers, Asker, Ruling, asks, decide, is_admin
from yizhan.core.frequency import Frequency, FrequencyNumbers
from yizhan.errors import UnknownCode
from yizhan.model import Access, Account, AccountId, Inbound, Rule, SenderRule
from yizhan.ports import Clock, Heard, Store
from yizhan.runtime.patience import to_the_end

Person = tuple[AccountId, str]

REMEMBERED_MAX = 10_000
"""People whose messages are counted, before those who have been silent are forgotten."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the door says to a message. `asks`: it wants an answer; `stranger`: the sender is to get a code, by which he
    can be let in, and has none yet."""

    ruling: Ruling
    asks: bool
    stranger: bool


class Door:
    """Decides about messages, by core/access.py, core/frequency.py and the rules of the store."""

    def __init__(
        self, store: Store, clock: Clock, numbers: AccessNumbers, frequency: FrequencyNumbers
    ) -> None:
        self._store = store
        self._clock = clock
        self._numbers = numbers
        self._frequency = frequency
        self._rules: dict[Person, Rule] = {}
        self._coded: set[Person] = set()
        self._heard: dict[Person, Frequency] = defaultdict(Frequency)

    async def open(self) -> None:
        """Reads the rules, and what was heard in the time that limits look back to."""
        for rule in await self._store.rules(None):
            self._rules[rule.account, rule.sender_id] = rule.rule
            if rule.code:
                self._coded.add((rule.account, rule.sender_id))
        if self._frequency.any:
            since_ms = self._clock.now_ms() - self._frequency.remembered_ms
            for account, sender, at_ms in await self._store.asked_since(since_ms):
                self._heard[account, sender].note(at_ms)

    @property
    def counts(self) -> bool:
        """Whether it matters how often somebody asks."""
        return self._frequency.any

    def ask(self, account: Account, heard: Heard, now_ms: int, counted: bool) -> Admission:
        """May it pass? `counted`: it is a question. Commands are none, so that whoever has asked too often can still
        say stop; neither are the platform's repeats."""
        person = (account.id, heard.sender_id)
        asker = self._asker(account, heard)
        ruling, wants = decide(self._numbers, asker), asks(self._numbers, asker)
        if ruling.access is Access.ALLOWED and wants and counted:
            ruling = self._counted(person, asker, ruling, now_ms)
        stranger = ruling.access is Access.PENDING and person not in self._coded
        if ruling.access is not Access.ALLOWED and heard.addressed:  # as the commit writes it down
            self._rules.setdefault(person, Rule.PENDING)
            if stranger:
                self._coded.add(person)
        return Admission(ruling, wants, stranger)

    def untold(self, account: AccountId, sender_id: str) -> None:
        """The message with which the sender was to get a code was none, but a repeat: he has none yet."""
        self._coded.discard((account, sender_id))

    def admits_admin(self, inbound: Inbound, owner: str) -> bool:
        """Whether the sender of a stored message may act on the gateway."""
        rule = self._rules.get((inbound.account, inbound.sender_id))
        return is_admin(
            self._numbers, Asker(inbound.account, inbound.chat, "", inbound.sender_id, owner, rule)
        )

    @to_the_end
    async def set_rule(self, account: AccountId, sender_id: str, rule: Rule) -> SenderRule:
        """Writes a decision down; it holds for the next message."""
        written = await self._store.set_rule(account, sender_id, rule, self._clock.now_ms())
        self._rules[account, sender_id] = rule
        self._coded.discard((account, sender_id))
        return written

    async def approve(self, code: str) -> SenderRule:
        """Allows the sender who was told the code. Raises UnknownCode."""
        plain = plain_code(code)
        for rule in await self._store.rules(None):
            if plain and plain_code(rule.code) == plain and rule.rule is Rule.PENDING:
                return await self.set_rule(rule.account, rule.sender_id, Rule.ALLOW)
        raise UnknownCode(
            "Nobody who waits for a decision was told this code.", "See who waits: yizhan access list."
        )

    def _asker(self, account: Account, heard: Heard) -> Asker:
        rule = self._rules.get((account.id, heard.sender_id))
        owner = account.credentials.user_id
        kind = heard.chat_kind
        return Asker(account.id, heard.chat, kind, heard.sender_id, owner, rule, heard.addressed)

    def _counted(self, person: Person, asker: Asker, ruling: Ruling, now_ms: int) -> Ruling:
        if not self._frequency.any or is_admin(self._numbers, asker):
            return ruling
        self._forget_the_silent(now_ms)
        refusal = self._heard[person].refusal(self._frequency, now_ms)
        if refusal is None:
            self._heard[person].note(now_ms)
            return ruling
        return replace(ruling, access=Access.DENIED, rule=refusal)

    def _forget_the_silent(self, now_ms: int) -> None:
        """Whoever has not asked for longer than limits look back to is nobody to remember."""
        if len(self._heard) > REMEMBERED_MAX:
            since_ms = now_ms - self._frequency.remembered_ms
            lately = {who: asked for who, asked in self._heard.items() if asked.last_ms > since_ms}
            self._heard = defaultdict(Frequency, lately)


def plain_code(code: str) -> str:
    """As people copy a code: small, large or wide letters, with or without the dash."""
    return unicodedata.normalize("NFKC", code).replace("-", "").strip().upper()


def new_code(random_hex: str) -> str:
    """Eight characters that nobody mistakes for each other, of 10 or more random hex digits."""
    letters = "ABCDEFGHJKMNPQRSTVWXYZ23456789"
    number, code = int(random_hex, 16), ""
    for _ in range(8):
        number, place = divmod(number, len(letters))
        code += letters[place]
    return f"{code[:4]}-{code[4:]}"
