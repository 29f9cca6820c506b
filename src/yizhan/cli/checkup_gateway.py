"""Checks of what only the gateway, or the opened store, can tell: readiness, accounts, the newest time written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from yizhan.cli.client import Api, Json
from yizhan.cli.findings import Finding, fail, ok, warn
from yizhan.cli.paper import local_time, reason_text
from yizhan.cli.status import ADD_ONE, ALERTS_SHOWN, alert_line, next_attempt, open_alerts, readiness
from yizhan.core.connection import Lost, LostKind, NotGranted
from yizhan.core.contract import parse_time

Answer = Lost | NotGranted | None
BROKEN = frozenset({"login_needed", "barred"})
"""States that no waiting mends."""
TOLD_BY_STATE = frozenset({"login_needed", "barred", "account_down"})
LOG_IN = "Log in again: yizhan login weixin"
NO_ACCOUNTS = warn("accounts", "none yet", f"Add one: {ADD_ONE}")


def accounts_of(api: Api) -> list[Json]:
    """The account objects of the API."""
    return list(api.call("GET", "/v1/accounts").get("items") or [])


def check_running(api: Api, accounts: Sequence[Json]) -> Finding:
    """Whether the running gateway can do its work. `ready` alone says nothing about accounts."""
    state = readiness(api)
    if state["ready"]:
        if accounts and not any(account.get("state") == "up" for account in accounts):
            return warn("gateway", "running, but none of its accounts is up", "See the accounts below.")
        return ok("gateway", "running and ready")
    reasons = "; ".join(filter(None, map(reason_text, state.get("reasons") or [])))
    return fail("gateway", f"running, but not ready: {reasons or 'it gives no reason'}", "See its log.")


def agent_of(api: Api) -> str:
    """The agent that the running gateway was told to ask."""
    return str(api.call("GET", "/v1/settings")["settings"]["agent"])


def newest_ms(api: Api, accounts: Sequence[Json]) -> int | None:
    """The newest time that was written down: of accounts, and of the last message accepted."""
    messages = api.call("GET", "/v1/messages", query={"limit": 1}).get("items") or []
    told = [
        account.get(name) for account in accounts for name in ("since", "last_server_answer_at", "created_at")
    ]
    told += [message.get("created_at") for message in messages]
    return max((parse_time(text) for text in told if isinstance(text, str)), default=None)


def check_accounts(accounts: Sequence[Json]) -> Iterator[Finding]:
    """Each account's true state, as the running gateway has it."""
    if not accounts:
        yield NO_ACCOUNTS
    for account in accounts:
        yield _check_state(account)


def check_logins(accounts: Sequence[Json], answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Each account's login and rights, as its platform has just judged them; for when no gateway runs."""
    if not accounts:
        yield NO_ACCOUNTS
    for account in accounts:
        yield _check_login(account, answers)


def check_alerts(api: Api) -> Iterator[Finding]:
    """What is wrong beside the accounts' own states, which have their own lines."""
    alerts = [alert for alert in open_alerts(api) if alert.get("kind") not in TOLD_BY_STATE]
    for alert in alerts[:ALERTS_SHOWN]:
        yield warn(f"alert {alert.get('kind')}", alert_line(alert | {"action": None}), str(alert["action"]))
    if len(alerts) > ALERTS_SHOWN:
        yield warn("alerts", f"{len(alerts) - ALERTS_SHOWN} more are open", "yizhan status")


def _check_state(account: Json) -> Finding:
    name, state = f"account {account.get('id')}", str(account.get("state"))
    why = reason_text(account.get("reason"))
    text = f"{state} since {local_time(account.get('since'))}{f': {why}' if why else ''}"
    if state in BROKEN:
        return fail(name, text, str(account.get("action") or LOG_IN))
    if state == "paused":
        return _paused(name, account)
    if state == "up":
        return ok(name, text)
    again = f"It tries again by itself; {next_attempt(account) or 'see yizhan status'}."
    return warn(name, text, str(account.get("action") or again))


def _check_login(account: Json, answers: Mapping[str, Answer]) -> Finding:
    name = f"account {account.get('id')}"
    if account.get("id") not in answers:
        return _paused(name, account)
    answer = answers[account["id"]]
    if isinstance(answer, NotGranted):
        return warn(name, f"the platform accepts its login, but {answer.text}", answer.action)
    return _last_state(name, account) if answer is None else _refused(name, answer)


def _last_state(name: str, account: Json) -> Finding:
    """The login is accepted; what was wrong beside it may still be so."""
    if account.get("state") != "barred":
        return ok(name, "the platform accepts its login")
    why = reason_text(account.get("reason"))
    text = (
        f"the platform accepts its login; it was barred when the gateway last ran{f': {why}' if why else ''}"
    )
    return warn(name, text, str(account.get("action") or "Start the gateway: yizhan run"))


def _refused(name: str, lost: Lost) -> Finding:
    if lost.kind in (LostKind.LOGIN, LostKind.BARRED):
        return fail(name, f"the platform refuses it: {lost.text} ({lost.code})", lost.action or LOG_IN)
    fix = "Check the network and the account's addresses (account add … replaces them)."
    return fail(name, f"the platform cannot be asked: {lost.text} ({lost.code})", fix)


def _paused(name: str, account: Json) -> Finding:
    return warn(name, "paused", f"yizhan account resume {account.get('id')}")
