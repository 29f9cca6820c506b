"""The lines that are open: which account is reached through which transport."""

from __future__ import annotations

from dataclasses import dataclass

from yizhan.model import Account, AccountId
from yizhan.ports import NotGranted, Platform, Transport


@dataclass(frozen=True, slots=True)
class OpenLine:
    """An account with its platform and its transport. Replaced as a whole when credentials change."""

    account: Account
    platform: Platform
    transport: Transport

    @property
    def host(self) -> str:
        return self.platform.host(self.account)


Lines = dict[AccountId, OpenLine]


def not_granted(lines: Lines) -> dict[AccountId, NotGranted]:
    """The accounts that hear less than they could, by what their platforms have granted."""
    told = ((account, line.transport.not_granted) for account, line in lines.items())
    return {account: kept for account, kept in told if kept is not None}
