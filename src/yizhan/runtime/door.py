"""The door: who may talk to the agent. Keeps the written rules in memory; the store has them first."""

from __future__ import annotations

from yizhan.core.access import decide
from yizhan.model import Access, Account, AccountId, Rule, SenderRule
from yizhan.ports import Clock, Store
from yizhan.runtime.patience import to_the_end


class Door:
    """Decides about senders, by core/access.py and the rules of the store."""

    def __init__(self, store: Store, clock: Clock, policy: str, allow: frozenset[str]) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._allow = allow
        self._rules: dict[tuple[AccountId, str], Rule] = {}

    async def open(self) -> None:
        """Reads the rules."""
        for rule in await self._store.rules(None):
            self._rules[rule.account, rule.sender_id] = rule.rule

    def ask(self, account: Account, sender_id: str) -> Access:
        rule = self._rules.get((account.id, sender_id))
        return decide(self._policy, self._allow, account.credentials.user_id, sender_id, rule)

    @to_the_end
    async def set_rule(self, account: AccountId, sender_id: str, rule: Rule) -> SenderRule:
        """Writes a decision down; it holds for the next message."""
        written = await self._store.set_rule(account, sender_id, rule, self._clock.now_ms())
        self._rules[account, sender_id] = rule
        return written
