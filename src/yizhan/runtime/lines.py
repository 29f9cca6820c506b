"""The lines that are open: which account is reached through which transport."""

from __future__ import annotations

from dataclasses import dataclass

from yizhan.model import Account, AccountId
from yizhan.ports import Platform, Transport


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
