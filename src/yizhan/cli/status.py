"""`yizhan status`: what is true now, account by account, and what a person should do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from yizhan.cli.client import Api, Json, RemoteApi
from yizhan.cli.paper import local_time, reason_text, safe, table
from yizhan.cli.trouble import DONE, FAILED, ApiProblem
from yizhan.cli.verb import Desk, verb

UP = "up"
ALERTS_SHOWN = 10
ADD_ONE = "yizhan login weixin, or yizhan account add qq --app-id …"


def register(group: typer.Typer) -> None:
    """Adds the verb."""

    @verb(group)
    def status(
        desk: Desk,
        check: Annotated[
            bool, typer.Option("--check", help="Exit 1 unless the gateway is ready and every account is up.")
        ] = False,
    ) -> int:
        """Show accounts, connections, gates, queues and the oldest waiting message."""
        with desk.api() as api:
            shape = _whole(api)
        if desk.as_json:
            desk.show(shape)
        else:
            _print(desk, shape)
        return DONE if not check or _all_up(shape) else FAILED


def _whole(api: Api) -> Json:
    """What `--json` prints: the gateway, whether it is ready, and the API's account objects."""
    gateway: Json = {"running": api.running, "url": api.url if isinstance(api, RemoteApi) else None}
    accounts = api.call("GET", "/v1/accounts").get("items") or []
    return {"gateway": gateway, "ready": readiness(api), "accounts": accounts, "alerts": open_alerts(api)}


def open_alerts(api: Api) -> list[Json]:
    """The open alerts, at most a page of them, the newest first; none from a gateway that is too old to know them."""
    try:
        page = api.call("GET", "/v1/alerts", query={"state": "open", "limit": 200})
    except ApiProblem as error:
        if error.status != 404:
            raise
        return []
    return list(page.get("items") or [])


def readiness(api: Api) -> Json:
    """The body of /readyz, which is the same with a 503 while something is missing."""
    try:
        return api.call("GET", "/readyz")
    except ApiProblem as error:
        if error.status != 503:
            raise
        return error.document | {"ready": False}


def _all_up(shape: Json) -> bool:
    ready = shape["gateway"]["running"] and shape["ready"]["ready"]
    return bool(ready) and all(account.get("state") == UP for account in shape["accounts"])


def _print(desk: Desk, shape: Json) -> None:
    accounts: list[Json] = shape["accounts"]
    running = bool(shape["gateway"]["running"])
    print(_gateway_line(desk, shape))
    for line in _alert_lines(shape["alerts"], running):
        print(line)
    if not accounts:
        print(f"No accounts yet. Add one: {ADD_ONE}")
        return
    heads = ("account", "state", "since", "last answer", "waiting", "oldest", "why")
    table(heads, (_row(account, running) for account in accounts))
    for line in dict.fromkeys(_things_to_know(accounts, running)):
        print(line)


def _gateway_line(desk: Desk, shape: Json) -> str:
    if not shape["gateway"]["running"]:
        return f"Gateway not running on {desk.home} (states are the last ones written down). Start it: yizhan run"
    if shape["ready"]["ready"]:
        return f"Gateway running at {shape['gateway']['url']}."
    reasons = "; ".join(filter(None, map(reason_text, shape["ready"].get("reasons") or [])))
    return f"Gateway running at {shape['gateway']['url']}, but NOT READY: {reasons or 'no reason given'}"


def _alert_lines(alerts: Sequence[Json], running: bool) -> Iterable[str]:
    """What a person must know, the worst first."""
    worst_first = sorted(alerts, key=lambda alert: alert.get("severity") != "critical")
    for alert in worst_first[:ALERTS_SHOWN]:
        yield f"{'ALERT' if running else 'Last alert'}: {alert_line(alert)}"
    if len(alerts) > ALERTS_SHOWN:
        yield f"… and {len(alerts) - ALERTS_SHOWN} more alerts: yizhan status --json"


def alert_line(alert: Json) -> str:
    """An alert as a sentence: whose, what, since when, and what to do."""
    whose = f"{safe(alert['account'])}: " if alert.get("account") else ""
    action = f" → {safe(alert['action'])}" if alert.get("action") else ""
    return f"{whose}{safe(alert.get('text'))} (since {local_time(alert.get('since'))}){action}"


def state_text(account: Json, running: bool) -> str:
    """The state in the present tense only while somebody keeps it true."""
    return safe(account.get("state")) if running else f"was {safe(account.get('state'))}"


def _row(account: Json, running: bool) -> tuple[object, ...]:
    return (
        account.get("id"),
        state_text(account, running),
        local_time(account.get("since")),
        local_time(account.get("last_server_answer_at")),
        _queue_text(account),
        local_time(account.get("oldest_live_at")),
        reason_text(account.get("reason")),
    )


def _queue_text(account: Json) -> str:
    live = account.get("live")
    if not isinstance(live, dict):
        return ""
    return ", ".join(f"{count} {state}" for state, count in live.items() if count) or "nothing"


def _things_to_know(accounts: Iterable[Json], running: bool) -> Iterable[str]:
    """Who must act, when it is tried again, and which gates are not wide open, in plain words."""
    for account in accounts:
        again = next_attempt(account) if running else ""
        if account.get("action"):
            yield f"To do for {safe(account.get('id'))}: {safe(account['action'])}" + (
                again and f" ({again})"
            )
        elif again:
            yield f"Nobody has to act for {safe(account.get('id'))}: {again}"
        for gate in account.get("gates") or []:
            yield gate_line(gate)


def next_attempt(account: Json) -> str:
    """When an account that is not up is tried again; empty where nobody knows."""
    at = account.get("next_attempt_at")
    return f"next try at {local_time(at)}" if at else ""


def gate_line(gate: Json) -> str:
    """A gate as a sentence: what it holds back and why, and when it is tried again."""
    subject = f"{safe(gate.get('scope'))} {safe(gate.get('subject'))}"
    again = f"next try at {local_time(gate.get('ready_at'))}"
    if gate.get("scope") == "host":
        return f"Cannot be reached: {subject}; {again}"
    why = gate.get("reason") or f"refusals in a row: {gate.get('refusals')}"
    limit = f"; limit learned: {safe(gate['limit'])}" if gate.get("limit") else ""
    return f"Slowed down: {subject} ({safe(why)}); {again}{limit}"
