"""Every other verb against a running gateway: the request it makes, what it prints, its exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Ran, SmallGateway, account, message, problem
from yizhan.cli.paper import local_time

Run = Callable[..., Ran]
ID = "weixin:ab12@im.bot"
PATH = "/v1/accounts/weixin%3Aab12%40im.bot"
ADD = ("account", "add", "weixin", "--account-id")


def items(*rows: Any) -> tuple[int, Any]:
    return 200, {"items": list(rows), "next": None}


def test_account_add_sends_what_was_given_and_prints_id_and_created(run: Run, gateway: SmallGateway) -> None:
    """The JSON of this verb is part of the contract."""
    gateway.routes["POST", "/v1/accounts"] = (201, {"id": ID, "created": True})
    urls = ("--base-url", "http://127.0.0.1:9/", "--cdn-base-url", "http://127.0.0.1:8")
    ran = run(
        *ADD, "ab12@im.bot", "--token-stdin", "--user-id", "u@im.wechat", *urls, "--json", stdin=" tok\r\n"
    )
    assert (ran.code, ran.json, ran.err) == (0, {"id": ID, "created": True}, "")
    assert {
        "platform": "weixin",
        "account_id": "ab12@im.bot",
        "token": "tok",
        "user_id": "u@im.wechat",
        "base_url": "http://127.0.0.1:9",
        "cdn_base_url": "http://127.0.0.1:8",
    } == gateway.only.body


def test_a_qq_bot_is_added_with_its_app_id_and_secret(run: Run, gateway: SmallGateway) -> None:
    """Hosts of QQ change; both addresses can be said."""
    gateway.routes["POST", "/v1/accounts"] = (201, {"id": "qq:102000001", "created": True})
    urls = ("--api-base-url", "http://127.0.0.1:9/", "--token-url", "http://127.0.0.1:8")
    ran = run(
        "account",
        "add",
        "qq",
        "--app-id",
        "102000001",
        "--client-secret-stdin",
        *urls,
        "--json",
        stdin="s3\n",
    )
    assert (ran.code, ran.json, ran.err) == (0, {"id": "qq:102000001", "created": True}, "")
    assert {
        "platform": "qq",
        "account_id": "102000001",
        "token": "s3",
        "base_url": "http://127.0.0.1:9",
        "token_url": "http://127.0.0.1:8",
    } == gateway.only.body


def test_a_qq_bot_with_a_webhook_is_told_which_address_to_enter(run: Run, gateway: SmallGateway) -> None:
    """Half of the setting is made on QQ's page, with an address that only we know."""
    gateway.routes["POST", "/v1/accounts"] = (201, {"id": "qq:102000001", "created": True})
    ran = run(
        "account", "add", "qq", "--app-id", "qq:102000001", "--client-secret-stdin", "--webhook", stdin="s3"
    )
    assert 0 == ran.code
    assert gateway.only.body["webhook"] is True
    assert "/webhooks/qq/102000001" in ran.err
    assert "server.allowed_hosts" in ran.err


def test_a_token_on_the_command_line_draws_a_warning(run: Run, gateway: SmallGateway) -> None:
    """Everybody on the machine can read the process list."""
    gateway.routes["POST", "/v1/accounts"] = (200, {"id": ID, "created": False})
    ran = run(*ADD, ID, "--token", "tok")
    assert 0 == ran.code
    assert "ab12@im.bot" == gateway.only.body["account_id"]
    assert "--token-stdin" in ran.err
    assert "credentials replaced" in ran.out
    assert "tok\n" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "method", "path", "query", "body"),
    [
        (["account", "remove", ID], "DELETE", PATH, {}, None),
        (["account", "pause", ID], "POST", PATH + "/pause", {}, None),
        (["account", "resume", ID], "POST", PATH + "/resume", {}, None),
        (["chat", "pause", "weixin:u"], "PATCH", "/v1/chat", {"chat": ["weixin:u"]}, {"paused": True}),
        (["chat", "resume", "weixin:u"], "PATCH", "/v1/chat", {"chat": ["weixin:u"]}, {"paused": False}),
        (["chat", "takeover", "weixin:u"], "PATCH", "/v1/chat", {"chat": ["weixin:u"]}, {"taken_over": True}),
        (
            ["chat", "handback", "weixin:u"],
            "PATCH",
            "/v1/chat",
            {"chat": ["weixin:u"]},
            {"taken_over": False},
        ),
        (
            ["access", "block", "u", "--account", ID],
            "POST",
            "/v1/access",
            {},
            {"account": ID, "sender": "u", "rule": "block"},
        ),
        (["access", "approve", "K7QM-2XPD"], "POST", "/v1/access/approve", {}, {"code": "K7QM-2XPD"}),
        (["key", "add", "cron"], "POST", "/v1/keys", {}, {"name": "cron", "scopes": ["read", "send"]}),
        (
            ["key", "add", "ops", "--scope", "read", "--scope", "admin"],
            "POST",
            "/v1/keys",
            {},
            {"name": "ops", "scopes": ["read", "admin"]},
        ),
        (["key", "revoke", "k_1"], "DELETE", "/v1/keys/k_1", {}, None),
        (["outbox", "show", "m_1"], "GET", "/v1/messages/m_1", {}, None),
        (["outbox", "retry", "m_1"], "POST", "/v1/messages/m_1/retry", {}, None),
        (["outbox", "cancel", "m_1"], "POST", "/v1/messages/m_1/cancel", {}, None),
        (["turn", "show", "t_1"], "GET", "/v1/turns/t_1", {}, None),
        (["turn", "rerun", "t_1"], "POST", "/v1/turns/t_1/rerun", {}, None),
        (["turn", "stop", "t_1"], "POST", "/v1/turns/t_1/stop", {}, None),
        (
            ["turn", "list", "--state", "failed", "--chat", "weixin:u"],
            "GET",
            "/v1/turns",
            {"state": ["failed"], "chat": ["weixin:u"], "limit": ["50"]},
            None,
        ),
        (
            ["outbox", "list", "--state", "failed", "--state", "expired", "--account", ID],
            "GET",
            "/v1/messages",
            {"state": ["failed", "expired"], "account": [ID], "limit": ["50"]},
            None,
        ),
    ],
)
def test_a_verb_is_one_call_of_the_api(
    run: Run,
    gateway: SmallGateway,
    arguments: list[str],
    method: str,
    path: str,
    query: dict[str, list[str]],
    body: object,
) -> None:
    """What a verb can do, a program can do by the API, and the other way round."""
    answer = message() | {"items": [], "next": None, "key": "yz_secret", "chat": "weixin:u"}
    gateway.routes[method, path] = (200, answer)
    ran = run(*arguments, "--json")
    assert (0, answer if method != "GET" or "show" in arguments else {"items": [], "next": None}) == (
        ran.code,
        ran.json,
    )
    only = gateway.only
    assert (method, path, query, body) == (only.method, only.path, only.query, only.body)
    readable = run(*arguments)
    assert 0 == readable.code
    assert "Traceback" not in readable.err


def test_access_allow_finds_the_account_that_knows_the_sender(run: Run, gateway: SmallGateway) -> None:
    """With one account nobody should have to type its id."""
    rule = {"account": ID, "sender": {"id": "u", "name": ""}, "rule": "pending"}
    gateway.routes["GET", "/v1/access"] = items(rule)
    gateway.routes["POST", "/v1/access"] = (200, rule | {"rule": "allow"})
    assert 0 == run("access", "allow", "u").code
    assert {"account": ID, "sender": "u", "rule": "allow"} == gateway.asked[-1].body


def test_access_allow_asks_which_account_if_that_is_not_clear(run: Run, gateway: SmallGateway) -> None:
    """A guess could let a stranger in."""
    gateway.routes["GET", "/v1/access"] = items()
    gateway.routes["GET", "/v1/accounts"] = items(account(), account(id="weixin:cd34@im.bot"))
    ran = run("access", "allow", "u")
    assert 2 == ran.code
    assert "--account" in ran.err
    assert "weixin:cd34@im.bot" in ran.err


def test_names_of_strangers_cannot_steer_the_terminal(run: Run, gateway: SmallGateway) -> None:
    """A sender's name is whatever a stranger typed."""
    sender = {"id": "u", "name": "\x1b]0;evil\x07\u202ename"}
    row = {"account": ID, "sender": sender, "rule": "pending", "first_text": "\x1b[2J", "refused": 1}
    gateway.routes["GET", "/v1/access"] = items(row)
    ran = run("access", "list")
    assert 0 == ran.code
    assert "evil" in ran.out
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)


def test_outbox_list_follows_the_cursor_up_to_the_limit(run: Run, gateway: SmallGateway) -> None:
    """A page of the API is not the end of the list."""
    first = (200, {"items": [message(id="m_3"), message(id="m_2")], "next": "c1"})
    gateway.routes["GET", "/v1/messages"] = [first, (200, {"items": [message(id="m_1")], "next": None})]
    ran = run("outbox", "list", "--limit", "3", "--json")
    assert [row["id"] for row in ran.json["items"]] == ["m_3", "m_2", "m_1"]
    assert [asked.query["limit"] for asked in gateway.asked] == [["3"], ["1"]]
    assert ["c1"] == gateway.asked[1].query["cursor"]


def test_outbox_show_tells_every_attempt_and_why(run: Run, gateway: SmallGateway) -> None:
    """The one page an operator reads when somebody says: it did not arrive."""
    attempt = {
        "n": 1,
        "at": "2026-11-21T08:00:01.000Z",
        "verdict": "throttled",
        "code": "-2",
        "text": "rate limited",
    }
    reason = {"code": "limit", "text": "the platform asks us to slow down"}
    part = {
        "no": 1,
        "state": "waiting",
        "waiting_for": "limit",
        "reason": reason,
        "receipt": None,
        "attempts": [attempt],
    }
    gateway.routes["GET", "/v1/messages/m_1"] = (200, message("waiting", waiting_for="limit", parts=[part]))
    ran = run("outbox", "show", "m_1")
    for needle in ("waiting (limit)", "slow down", "throttled", "rate limited"):
        assert needle in ran.out


def test_status_names_state_reason_gates_queue_and_who_must_act(run: Run, gateway: SmallGateway) -> None:
    """Status is what is true, in words, with what to do."""
    gate = {
        "scope": "chat",
        "subject": "o9@im.wechat",
        "ready_at": "2026-11-21T08:01:00.000Z",
        "refusals": 3,
        "reason": "refused 3 times in a row",
        "limit": "10 per 20.4 s",
    }
    row = account(
        "login_needed",
        reason={"code": "-14", "text": "the login has expired"},
        action="Log in again.",
        gates=[gate],
        live={"waiting": 7, "sending": 0},
        oldest_live_at="2026-11-21T07:00:00.000Z",
    )
    gateway.routes["GET", "/v1/accounts"] = items(row)
    gateway.routes["GET", "/readyz"] = (200, {"ready": True, "reasons": [], "accounts": []})
    ran = run("status")
    assert 0 == ran.code
    for needle in (
        ID,
        "login_needed",
        "the login has expired",
        "Log in again.",
        "7 waiting",
        "refused 3 times in a row",
    ):
        assert needle in ran.out
    assert 1 == run("status", "--check").code


def test_status_tells_when_an_account_is_tried_again_and_that_nobody_has_to_act(
    run: Run, gateway: SmallGateway
) -> None:
    """A bot was down, and only the console knew when it would be tried again."""
    at = "2026-11-21T08:01:00.000Z"
    down = account("down", next_attempt_at=at) | {"id": "qq:1"}
    barred = account("barred", next_attempt_at=at, action="Allow 1.2.3.4.") | {"id": "qq:2"}
    gateway.routes["GET", "/v1/accounts"] = items(down, barred)
    gateway.routes["GET", "/readyz"] = (200, {"ready": True, "reasons": [], "accounts": []})
    out, when = run("status").out, local_time(at)
    assert f"Nobody has to act for qq:1: next try at {when}" in out
    assert f"To do for qq:2: Allow 1.2.3.4. (next try at {when})" in out
    assert 2 == run("account", "list").out.count(when)


@pytest.mark.parametrize(
    ("states", "ready", "code"),
    [
        ([], True, 0),
        (["up"], True, 0),
        (["up", "degraded"], True, 1),
        (["up"], False, 1),
        (["paused"], True, 1),
    ],
)
def test_status_check_is_0_only_when_all_are_up(
    run: Run, gateway: SmallGateway, states: list[str], ready: bool, code: int
) -> None:
    """Monitoring looks at the exit code alone."""
    gateway.routes["GET", "/v1/accounts"] = items(*map(account, states))
    body = {"ready": ready, "reasons": [], "accounts": []}
    gateway.routes["GET", "/readyz"] = (200 if ready else 503, body)
    ran = run("status", "--check", "--json")
    assert (code, ready) == (ran.code, ran.json["ready"]["ready"])
    assert {"running": True, "url": gateway.url} == ran.json["gateway"]


def test_console_prints_the_address_that_signs_in(run: Run, gateway: SmallGateway) -> None:
    """It is to be copied, so it stands alone."""
    gateway.routes["POST", "/v1/console/ticket"] = (200, {"url": "http://127.0.0.1:1/console/login?t=x"})
    assert "http://127.0.0.1:1/console/login?t=x\n" == run("console").out


def test_console_without_a_gateway_says_so(run: Run) -> None:
    """There is no console that could be opened."""
    ran = run("console", "--json")
    assert (ran.code, ran.json["type"]) == (3, "urn:yizhan:problem:no-gateway")


def login(status: str, **more: Any) -> tuple[int, Any]:
    qr = {"text": "https://wx/q1", "svg": "<svg/>"}
    return 200, {"id": "l_1", "status": status, "note": "", "account": None, "refreshes": 0, "qr": qr} | more


LOGIN = "/v1/accounts/weixin/login"


@pytest.mark.field("F92")
def test_login_draws_the_code_asks_for_digits_and_names_the_account(run: Run, gateway: SmallGateway) -> None:
    """The whole way of a first login, with one wrong number and one new code."""
    gateway.routes["POST", LOGIN] = (201, {"id": "l_1"})
    gateway.routes["POST", f"{LOGIN}/l_1/verify"] = login("verify_code_needed")
    wrong = login("verify_code_needed", note="These digits are wrong.")
    again = login(
        "wait", note="The code expired; this is a new one.", qr={"text": "https://wx/q2", "svg": ""}
    )
    done = login("confirmed", account=ID, qr=None)
    asks = login("verify_code_needed")
    gateway.routes["GET", f"{LOGIN}/l_1"] = [login("wait"), again, login("scanned"), asks, wrong, done]
    ran = run("login", "weixin", stdin="abc\n12\n34\n")
    assert 0 == ran.code, ran.err
    for needle in ("█", "https://wx/q1", "https://wx/q2", "new one", "Scanned", "wrong", ID, "is allowed"):
        assert needle in ran.out
    digits = [asked.body["code"] for asked in gateway.asked if asked.path.endswith("/verify")]
    assert ["12", "34"] == digits


def test_login_with_json_prints_one_object_per_change(run: Run, gateway: SmallGateway) -> None:
    """Programs draw the code themselves."""
    import json

    gateway.routes["POST", LOGIN] = (201, {"id": "l_1"})
    done = login("already_linked", account=ID, qr=None)
    gateway.routes["GET", f"{LOGIN}/l_1"] = [login("wait"), login("wait"), done]
    ran = run("login", "weixin", "--json")
    views = [json.loads(line) for line in ran.out.splitlines()]
    assert [(view["status"], view["qr"]) for view in views] == [
        ("wait", {"text": "https://wx/q1"}),
        ("already_linked", None),
    ]
    assert 0 == ran.code


@pytest.mark.parametrize("status", ["expired", "failed"])
def test_a_login_that_ends_without_account_is_a_failure(run: Run, gateway: SmallGateway, status: str) -> None:
    """Scripts must not go on as if there were an account."""
    gateway.routes["POST", LOGIN] = (201, {"id": "l_1"})
    gateway.routes["GET", f"{LOGIN}/l_1"] = login(status, note="Nobody finished it.", qr=None)
    ran = run("login", "weixin")
    assert 1 == ran.code
    assert "Nobody finished it." in ran.out


def test_a_login_that_is_left_is_given_up(run: Run, gateway: SmallGateway) -> None:
    """No open code stays behind when the person goes away."""
    gateway.routes["POST", LOGIN] = (201, {"id": "l_1"})
    gateway.routes["GET", f"{LOGIN}/l_1"] = login("verify_code_needed")
    gateway.routes["DELETE", f"{LOGIN}/l_1"] = (204, {})
    ran = run("login", "weixin", stdin="")
    assert 2 == ran.code
    assert "DELETE" == gateway.asked[-1].method


def test_a_broken_pipe_is_no_crash(run: Run, gateway: SmallGateway) -> None:
    """`yizhan outbox list | head -1` is how people look."""
    import subprocess
    import sys

    from tests.cli.conftest import ENVIRONMENT

    gateway.routes["GET", "/v1/messages"] = (200, {"items": [message()] * 2000, "next": None})
    home = gateway.home
    line = f"{sys.executable} -m yizhan outbox list --limit 2000 --json --home {home} | head -1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, env=ENVIRONMENT, timeout=60, check=False)
    assert b"" == done.stderr


def test_a_refused_key_says_where_the_right_one_is_looked_for(run: Run, gateway: SmallGateway) -> None:
    """After `key revoke` this is what a forgotten script prints."""
    document = problem("unauthorized", 401, "This key is not known.", "Use the home's api-key file.")
    gateway.routes["GET", "/v1/accounts"] = (401, document)
    ran = run("account", "list")
    assert 2 == ran.code
    assert "This key is not known." in ran.err


ALERT = {
    "id": "al_1",
    "kind": "dead_letter",
    "severity": "warning",
    "state": "open",
    "account": "weixin:ab12@im.bot",
    "chat": None,
    "message": "m_1",
    "text": "3 messages have failed lately.",
    "action": "yizhan outbox list --state failed",
    "since": "2026-11-21T08:00:00.000Z",
    "last_seen": "2026-11-21T08:00:00.000Z",
    "count": 3,
    "cleared_at": None,
}


def test_status_shows_open_alerts_first_and_the_worst_of_them_first(run: Run, gateway: SmallGateway) -> None:
    """Whoever looks should see what he must know before the tables."""
    worse = ALERT | {"id": "al_2", "kind": "store", "severity": "critical", "account": None}
    worse |= {"text": "Nothing can be stored.", "action": None}
    gateway.routes["GET", "/v1/accounts"] = (200, {"items": [account()]})
    gateway.routes["GET", "/readyz"] = (200, {"ready": True, "reasons": [], "accounts": []})
    gateway.routes["GET", "/v1/alerts"] = (200, {"items": [ALERT, worse], "next": None})
    lines = run("status").out.splitlines()
    assert "ALERT: Nothing can be stored. (since " in lines[1]
    assert "weixin:ab12@im.bot: 3 messages have failed lately." in lines[2]
    assert "→ yizhan outbox list --state failed" in lines[2]
    assert [ALERT, worse] == run("status", "--json").json["alerts"]


def test_many_alerts_are_summed_up(run: Run, gateway: SmallGateway) -> None:
    """A screen full of alarms is read by nobody."""
    gateway.routes["GET", "/v1/accounts"] = (200, {"items": [account()]})
    gateway.routes["GET", "/readyz"] = (200, {"ready": True, "reasons": [], "accounts": []})
    gateway.routes["GET", "/v1/alerts"] = (200, {"items": [ALERT] * 40, "next": None})
    out = run("status").out
    assert (10, True) == (out.count("ALERT:"), "30 more alerts" in out)


def test_outbox_retry_by_filter_revives_the_oldest_first_and_leaves_alone_what_has_changed(
    run: Run, gateway: SmallGateway
) -> None:
    """A night's dead letters with one command; another operator may press the same button."""
    newest_first = [message("failed", id=f"m_{number}") for number in (3, 2, 1)]
    gateway.routes["GET", "/v1/messages"] = (200, {"items": newest_first, "next": None})
    gateway.routes["POST", "/v1/messages/m_1/retry"] = (200, message("waiting", id="m_1"))
    gateway.routes["POST", "/v1/messages/m_2/retry"] = (409, problem("not-revivable", 409))
    gateway.routes["POST", "/v1/messages/m_3/retry"] = (200, message("waiting", id="m_3"))
    ran = run("outbox", "retry", "--all")
    assert (0, "retry: 2 messages, 1 left alone (changed meanwhile)\n") == (ran.code, ran.out)
    assert ["failed", "expired"] == gateway.asked[0].query["state"]
    assert ["m_1", "m_2", "m_3"] == [asked.path.split("/")[3] for asked in gateway.asked[1:]]


def test_outbox_retry_of_what_nobody_saw_must_be_named(run: Run, gateway: SmallGateway) -> None:
    """Unconfirmed may be on the screen already: only who says so doubles it."""
    gateway.routes["GET", "/v1/messages"] = (200, {"items": [], "next": None})
    chat = "weixin:ab12@im.bot:o9@im.wechat"
    ran = run("outbox", "retry", "--state", "unconfirmed", "--chat", chat, "--json")
    assert {"items": [], "left_alone": 0, "why": []} == ran.json
    assert (["unconfirmed"], [chat]) == (gateway.only.query["state"], gateway.only.query["chat"])


def test_outbox_cancel_by_filter_ends_what_waits(run: Run, gateway: SmallGateway) -> None:
    """A campaign sent to the wrong account."""
    gateway.routes["GET", "/v1/messages"] = (200, {"items": [message("waiting")], "next": None})
    gateway.routes["POST", "/v1/messages/m_1/cancel"] = (200, message("cancelled"))
    ran = run("outbox", "cancel", "--account", "weixin:ab12@im.bot")
    assert "cancel: 1 message\n" == ran.out
    assert ["queued", "waiting"] == gateway.asked[0].query["state"]


def test_outbox_cancel_says_why_it_left_something_alone(run: Run, gateway: SmallGateway) -> None:
    """What was delivered long ago "had changed meanwhile": the operator tried again and again."""
    rows = [message("delivered", id="m_1"), message("delivered", id="m_2"), message("waiting", id="m_3")]
    gateway.routes["GET", "/v1/messages"] = (200, {"items": rows, "next": None})
    refusal = problem("not-cancellable", 409, fix="Only what has not been sent can be cancelled.")
    for number in (1, 2, 3):
        gateway.routes["POST", f"/v1/messages/m_{number}/cancel"] = (409, refusal)
    told = "delivered: Only what has not been sent can be cancelled"
    ran = run("outbox", "cancel", "--state", "delivered", "--state", "waiting")
    expected = f"cancel: 0 messages, 1 left alone (changed meanwhile), 2 left alone ({told})\n"
    assert (0, expected) == (ran.code, ran.out)
    answer = run("outbox", "cancel", "--state", "delivered", "--state", "waiting", "--json").json
    assert (3, {"count": 2, "text": told}) == (answer["left_alone"], answer["why"][1])


@pytest.mark.parametrize("word", ["retry", "cancel"])
def test_outbox_retry_and_cancel_do_nothing_by_mistake(run: Run, gateway: SmallGateway, word: str) -> None:
    """Neither an id nor a filter must not mean everything."""
    ran = run("outbox", word)
    assert (2, []) == (ran.code, gateway.asked)
    assert "--all" in ran.err


@pytest.mark.parametrize("word", ["retry", "cancel"])
def test_outbox_ids_beside_a_filter_are_a_question_and_not_a_guess(
    run: Run, gateway: SmallGateway, word: str
) -> None:
    """`cancel m_1 --state waiting` once cancelled m_1 whatever its state was: the filter went unread."""
    ran = run("outbox", word, "m_1", "--state", "waiting")
    assert (2, []) == (ran.code, gateway.asked)
    assert "filters" in ran.err
