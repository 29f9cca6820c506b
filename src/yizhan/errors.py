"""Every error we raise.

    YizhanError
    ├─ SettingsError         the operator must change a key: says which, where, to what
    ├─ RequestError          the caller asked for the impossible (HTTP 4xx)
    │   ├─ UnknownAccount, UnknownChat, UnknownMessage, UnknownTurn, UnknownLogin, UnknownKey,
    │   │   UnknownCode, UnknownSchedule, UnknownWebhook
    │   ├─ TextEmpty, TextTooLong, InvalidRequest
    │   ├─ IdempotencyConflict, NotRevivable, NotCancellable, TurnOpen, TurnEnded
    │   └─ CursorGone
    ├─ StoreError
    │   ├─ StoreUnavailable  disk full, database gone: nothing was written, try again later
    │   ├─ StoreBusy         the committer's queue is full: nothing was written, try again soon
    │   ├─ StoreInUse        another gateway holds this store
    │   └─ StoreBroken       the database is not one we can read; says what to do
    └─ PlatformError
        ├─ WireError         their bytes make no sense
        └─ LoginRequired     a person must act

A platform's "no" is a verdict (core/verdict.py), not an exception. Texts say what was tried, on which
account, chat or message, and what to do next (`fix`); they never carry message text or secrets.
"""

from __future__ import annotations


class YizhanError(Exception):
    """Root of the tree. `detail` says what is wrong, `fix` what to change."""

    name = "error"
    status = 500

    def __init__(self, detail: str, fix: str = "") -> None:
        super().__init__(f"{detail} {fix}".strip())
        self.detail = detail
        self.fix = fix


class SettingsError(YizhanError):
    name = "settings"


class RequestError(YizhanError):
    """The caller's mistake. `name` and `status` are those of the problem document (docs/contract.md)."""

    name = "invalid-request"
    status = 422


class InvalidRequest(RequestError):
    pass


class UnknownAccount(RequestError):
    name = "unknown-account"
    status = 404


class UnknownChat(RequestError):
    name = "unknown-chat"
    status = 404


class UnknownMessage(RequestError):
    name = "unknown-message"
    status = 404


class UnknownTurn(RequestError):
    name = "unknown-turn"
    status = 404


class UnknownLogin(RequestError):
    name = "unknown-login"
    status = 404


class UnknownKey(RequestError):
    name = "unknown-key"
    status = 404


class UnknownCode(RequestError):
    name = "unknown-code"
    status = 404


class UnknownWebhook(RequestError):
    name = "unknown-webhook"
    status = 404


class UnknownSchedule(RequestError):
    name = "unknown-schedule"
    status = 404


class TextEmpty(RequestError):
    name = "text-empty"


class TextTooLong(RequestError):
    name = "text-too-long"
    status = 413


class IdempotencyConflict(RequestError):
    name = "idempotency-conflict"
    status = 409


class NotRevivable(RequestError):
    name = "not-revivable"
    status = 409


class NotCancellable(RequestError):
    name = "not-cancellable"
    status = 409


class TurnOpen(RequestError):
    """It is still to be answered: it cannot be run again."""

    name = "turn-open"
    status = 409


class TurnEnded(RequestError):
    """There is nothing left of it to stop."""

    name = "turn-ended"
    status = 409


class CursorGone(RequestError):
    name = "cursor-gone"
    status = 410


class StoreError(YizhanError):
    name = "busy"
    status = 503


class StoreUnavailable(StoreError):
    """Nothing was written. The caller keeps what it has and tries again."""


class StoreBusy(StoreError):
    """Nothing was written: too much is waiting for the disk already."""


class StoreInUse(StoreError):
    name = "store-in-use"


class StoreBroken(StoreError):
    name = "store-broken"


class PlatformError(YizhanError):
    name = "platform"
    status = 502


class WireError(PlatformError):
    """Their bytes make no sense: too big, too deep, not what was announced, not JSON."""


class LoginRequired(PlatformError):
    """Only a person can go on, for example by scanning a code."""
