"""TARGET texts: `platform:account:chat`, or `platform:chat` where the platform has one account."""

from __future__ import annotations

from collections.abc import Collection

from yizhan.errors import InvalidRequest, UnknownAccount
from yizhan.model import AccountId, ChatId, Target


def parse_target(text: str, accounts: Collection[AccountId]) -> Target:
    """Which chat a TARGET names.

    Raises: InvalidRequest  not a TARGET, ambiguous, or with letters that nobody sees; says how to write it
            UnknownAccount  no such account here
    """
    text = text.strip()
    must_show("The target", text)
    platform, _, rest = text.partition(":")
    if not platform or not rest:
        raise InvalidRequest(
            f"{text!r} is not a target.",
            "Write platform:account:chat, for example weixin:ab12@im.bot:o9…@im.wechat or qq:1020304:c2c/OPENID.",
        )
    external, colon, chat = rest.partition(":")
    account = AccountId(f"{platform}:{external}")
    if account in accounts:
        if not chat:
            raise InvalidRequest(
                f"{text!r} names an account, not a chat.", f"Write {account}:CHAT with the chat's id."
            )
        return Target(account, ChatId(chat))
    if colon:
        raise UnknownAccount(f"There is no account {account} here.", _known(accounts))
    mine = [account for account in accounts if account.startswith(f"{platform}:")]
    if len(mine) == 1:
        return Target(mine[0], ChatId(rest))
    if not mine:
        raise UnknownAccount(f"There is no account of {platform} here.", _known(accounts))
    raise InvalidRequest(
        f"{platform} has {len(mine)} accounts; {text!r} does not say which.", _known(accounts)
    )


def must_show(what: str, text: str) -> None:
    """An id that looks like another one on every screen is nobody's. Raises InvalidRequest, which names the character
    that cannot be seen."""
    hidden = next((letter for letter in text if not letter.isprintable()), None)
    if hidden is not None:
        raise InvalidRequest(
            f"{what} holds a character that nobody sees, U+{ord(hidden):04X}.",
            "Type it, or copy it from where Yizhan shows it.",
        )


def _known(accounts: Collection[AccountId]) -> str:
    if not accounts:
        return "Add one with yizhan login weixin or yizhan account add."
    return "Known accounts: " + ", ".join(sorted(accounts)[:5]) + "."
