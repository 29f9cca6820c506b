"""Who may talk to the agent: one place decides, deny by default."""

from __future__ import annotations

from collections.abc import Collection

from yizhan.model import Access, Rule


def decide(policy: str, allow: Collection[str], owner: str, sender: str, rule: Rule | None) -> Access:
    """What the door says to a sender.

    Args:  policy  `open`, `pairing` or `allowlist` (docs/configuration.md, access.policy)
           allow   senders the configuration always allows
           owner   the person who confirmed the account's login, empty where unknown
           rule    what is written down about the sender; a block wins over everything
    """
    if rule is Rule.BLOCK:
        return Access.DENIED
    if rule is Rule.ALLOW or sender in allow or (owner and sender == owner) or policy == "open":
        return Access.ALLOWED
    return Access.PENDING if policy == "pairing" else Access.DENIED
