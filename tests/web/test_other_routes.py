"""Accounts, logins, chats, access, keys, settings, health and metrics."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.web.conftest import ACCOUNT, CHAT, PaperPlatform, Station, Stream, gateway_on, problem_name
from yizhan.core.alerts import AlertChange
from yizhan.model import (
    Access,
    AccountState,
    Alert,
    AlertKind,
    Credentials,
    Dispatch,
    InboundId,
    Item,
    MessageState,
    Reason,
    Rule,
    Severity,
)
from yizhan.ports import AccountChange, Arrival, Heard, InboundCommit, LoginStatus, NewLogin
from yizhan.runtime.views import AccountView, GateView
from yizhan.web import shapes
from yizhan.web.health import without_secrets

TARGET = f"{ACCOUNT}:{CHAT}"


async def hear(station: Station, text: str = "hi", access: Access = Access.ALLOWED) -> None:
    """Someone writes to the account."""
    heard = Heard(
        CHAT,
        "direct",
        "p1",
        "o9cq@im.wechat",
        "Ann",
        text,
        "",
        (Item("image", "cat.png", 9),),
        1_700_000_000_000,
    )
    arrival = Arrival(InboundId("i_1"), heard, station.gateway.clock.now_ms(), access, Dispatch.DONE)
    await station.gateway.store.commit_inbound(InboundCommit(ACCOUNT, (arrival,), "cursor-1", 5))


# accounts


async def test_an_account_is_added_replaced_paused_and_removed(station: Station) -> None:
    """The life of an account, with the id that stands everywhere: platform and name with their signs."""
    account = await station.with_account()
    body = {"platform": "weixin", "account_id": "ab12@im.bot", "token": "another"}
    again = await station.client.post("/v1/accounts", json=body)
    assert (200, {"id": account, "created": False}) == (again.status_code, again.json())
    for path in (account, quote(account, safe="")):
        paused = await station.client.post(f"/v1/accounts/{path}/pause")
        assert (200, True) == (paused.status_code, paused.json()["paused"])
        resumed = await station.client.post(f"/v1/accounts/{path}/resume")
        assert False is resumed.json()["paused"]
    assert 204 == (await station.client.delete(f"/v1/accounts/{quote(account, safe='')}")).status_code
    gone = await station.client.post(f"/v1/accounts/{account}/pause")
    assert (404, "unknown-account") == (gone.status_code, problem_name(gone))
    assert "unknown-account" == problem_name(await station.client.delete(f"/v1/accounts/{account}"))


async def test_an_account_without_addresses_gets_the_platforms_own(station: Station) -> None:
    """A token alone is enough to send."""
    await station.with_account()
    credentials = (await station.gateway.store.account(ACCOUNT)).credentials
    assert station.gateway.settings.weixin.login_url == credentials.base_url


async def test_the_list_says_what_is_true_and_shows_no_secret(station: Station) -> None:
    """State, gates and what waits; never the token or the cursor."""
    await station.with_account()
    await hear(station)
    for text in ("one", "two"):
        await station.send(text)
    answer = await station.client.get("/v1/accounts")
    shapes.AccountList.model_validate(answer.json())
    account = answer.json()["items"][0]
    assert (ACCOUNT, {"queued": 2}, []) == (account["id"], account["live"], account["gates"])
    assert account["oldest_live_at"].endswith("Z")
    assert "secret-token" not in answer.text
    assert "cursor-1" not in answer.text


async def test_a_gate_that_is_shut_is_shown(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why nothing moves is the first question of an operator."""
    await station.with_account()
    stored = await station.gateway.store.account(ACCOUNT)
    gate = GateView("chat", str(CHAT), 1_763_712_000_123, 3, "refused 3 times in a row", "10 per 20 s")

    async def views() -> tuple[AccountView, ...]:
        return (AccountView(stored, (gate,), {MessageState.WAITING: 1}, 1_763_712_000_000),)

    monkeypatch.setattr(station.gateway, "accounts", views)
    answer = (await station.client.get("/v1/accounts")).json()
    shapes.AccountList.model_validate(answer)
    expected = {"scope": "chat", "subject": str(CHAT), "ready_at": "2025-11-21T08:00:00.123Z", "refusals": 3}
    expected |= {"reason": "refused 3 times in a row", "limit": "10 per 20 s"}
    assert expected == answer["items"][0]["gates"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"platform": "telegram"},
        {"account_id": ""},
        {"account_id": "a:b"},
        {"account_id": "a/b"},
        {"account_id": "a b"},
        {"account_id": "a\u200bb"},
        {"user_id": "o9\u2066@im.wechat"},
        {"token": ""},
        {"token": "with space"},
        {"token": "x" * 5000},
        {"base_url": "ftp://example.org"},
        {"base_url": "https://user:pw@example.org"},
        {"base_url": "https://example.org/?q=1"},
        {"cdn_base_url": "javascript:alert(1)"},
        {"webhook": True},
        {"webhook": "yes"},
        {"unknown": 1},
    ],
)
async def test_an_account_that_cannot_be_is_refused(station: Station, change: dict[str, object]) -> None:
    """Found out at once, not at the first send."""
    body = {"platform": "weixin", "account_id": "ab12@im.bot", "token": "secret-token", **change}
    answer = await station.client.post("/v1/accounts", json=body)
    assert (422, "invalid-request") == (answer.status_code, problem_name(answer))
    assert "secret-token" not in answer.text


# logins


@pytest.mark.field("F92")
async def test_a_login_is_followed_to_its_end(station: Station) -> None:
    """What the page and the terminal show, step by step."""
    platform = station.gateway.platforms["weixin"]
    assert isinstance(platform, PaperPlatform)
    started = await station.client.post("/v1/accounts/weixin/login")
    assert 201 == started.status_code
    path = f"/v1/accounts/weixin/login/{started.json()['id']}"
    view = (await station.client.get(path)).json()
    shapes.Login.model_validate(view)
    assert ("wait", "https://weixin.example/q?c=1") == (view["status"], view["qr"]["text"])
    assert view["qr"]["svg"].startswith("<svg")

    login = platform.logins[0]
    login.now = replace(login.now, status=LoginStatus.VERIFY_CODE)
    assert 200 == (await station.client.post(f"{path}/verify", json={"code": " 123456 "})).status_code
    assert ["123456"] == login.codes
    assert "invalid-request" == problem_name(
        await station.client.post(f"{path}/verify", json={"code": "abc"})
    )

    login.now = replace(login.now, status=LoginStatus.CONFIRMED, qr_text="", account=ACCOUNT)
    login.outcome.set_result(NewLogin(ACCOUNT, Credentials("t", "https://ilink.example")))
    for _ in range(500):
        view = (await station.client.get(path)).json()
        if view["status"] == "confirmed":
            break
        await asyncio.sleep(0.01)
    assert ("confirmed", ACCOUNT, None) == (view["status"], view["account"], view["qr"])
    assert [ACCOUNT] == [row["id"] for row in (await station.client.get("/v1/accounts")).json()["items"]]


async def test_a_login_can_be_given_up(station: Station) -> None:
    """A code that nobody scans need not stay."""
    started = await station.client.post("/v1/accounts/weixin/login")
    path = f"/v1/accounts/weixin/login/{started.json()['id']}"
    assert 204 == (await station.client.delete(path)).status_code
    for _ in range(500):
        if (await station.client.get(path)).status_code != 200:
            break
        await asyncio.sleep(0.01)
    for method, gone in (("GET", path), ("DELETE", path), ("GET", "/v1/accounts/weixin/login/nothing")):
        answer = await station.client.request(method, gone)
        assert (404, "unknown-login") == (answer.status_code, problem_name(answer))


# chats


async def test_a_timeline_tells_what_was_heard_and_what_was_sent(station: Station) -> None:
    """Generated next to delivered is what the console is for."""
    await station.with_account()
    await hear(station)
    station.gateway.clock.ahead_ms = 1000  # type: ignore[attr-defined]
    await station.send("an answer")
    answer = (await station.client.get("/v1/timeline", params={"chat": TARGET})).json()
    shapes.TimelinePage.model_validate(answer)
    assert ["outbound", "inbound"] == [row["kind"] for row in answer["items"]]
    assert ("an answer", ["an answer"]) == (answer["items"][0]["text"], answer["items"][0]["part_texts"])
    assert [{"kind": "image", "name": "cat.png", "size": 9}] == answer["items"][1]["message"]["items"]
    page = (await station.client.get("/v1/timeline", params={"chat": TARGET, "limit": 1})).json()
    rest = (await station.client.get("/v1/timeline", params={"chat": TARGET, "cursor": page["next"]})).json()
    assert answer["items"] == page["items"] + rest["items"]


async def test_chats_are_listed_and_paused(station: Station) -> None:
    """A chat can be held back alone."""
    await station.with_account()
    await hear(station)
    listed = (await station.client.get("/v1/chats", params={"account": ACCOUNT})).json()
    shapes.ChatPage.model_validate(listed)
    assert [(TARGET, False)] == [(chat["chat"], chat["paused"]) for chat in listed["items"]]
    changed = await station.client.patch("/v1/chat", params={"chat": TARGET}, json={"paused": True})
    assert (200, True) == (changed.status_code, changed.json()["paused"])
    assert True is (await station.client.get("/v1/chats")).json()["items"][0]["paused"]
    for answer in (
        await station.client.patch("/v1/chat", params={"chat": TARGET}, json={"paused": "yes"}),
        await station.client.patch("/v1/chat", json={"paused": True}),
        await station.client.get("/v1/timeline"),
    ):
        assert (422, "invalid-request") == (answer.status_code, problem_name(answer))
    unknown = await station.client.get("/v1/timeline", params={"chat": "weixin:no@im.bot:o1@im.wechat"})
    assert (404, "unknown-account") == (unknown.status_code, problem_name(unknown))


async def test_a_chat_is_taken_over_and_handed_back(station: Station) -> None:
    """Programs that answer by themselves have to know when a person does."""
    await station.with_account()
    await hear(station)
    async with Stream(station.app, "types=chat.state") as stream:
        taken = await station.client.patch("/v1/chat", params={"chat": TARGET}, json={"taken_over": True})
        assert 200 == taken.status_code
        since = taken.json()["taken_over_at"]
        assert since is not None
        again = await station.client.patch("/v1/chat", params={"chat": TARGET}, json={"taken_over": True})
        assert since == again.json()["taken_over_at"]
        assert since == (await station.client.get("/v1/chats")).json()["items"][0]["taken_over_at"]
        back = await station.client.patch("/v1/chat", params={"chat": TARGET}, json={"taken_over": False})
        assert back.json()["taken_over_at"] is None
        told = [(await stream.next()).data for _ in range(2)]
    assert [since, None] == [event["taken_over_at"] for event in told]
    assert {TARGET} == {event["chat"] for event in told}
    nothing = await station.client.patch("/v1/chat", params={"chat": TARGET}, json={})
    assert (422, "invalid-request") == (nothing.status_code, problem_name(nothing))


# access


@pytest.mark.field("F36")
async def test_a_waiting_sender_is_allowed(station: Station) -> None:
    """Pairing: who asked is listed, a person decides."""
    await station.with_account()
    await hear(station, "let me in", Access.PENDING)
    waiting = (await station.client.get("/v1/access", params={"rule": "pending"})).json()
    shapes.RuleList.model_validate(waiting)
    assert [("o9cq@im.wechat", "let me in")] == [
        (r["sender"]["id"], r["first_text"]) for r in waiting["items"]
    ]
    decision = {"account": ACCOUNT, "sender": "o9cq@im.wechat", "rule": "allow"}
    decided = await station.client.post("/v1/access", json=decision)
    assert (200, "allow") == (decided.status_code, decided.json()["rule"])
    assert [] == (await station.client.get("/v1/access", params={"rule": "pending"})).json()["items"]
    assert 1 == len((await station.client.get("/v1/access", params={"account": ACCOUNT})).json()["items"])
    rules = await station.gateway.store.rules(ACCOUNT)
    assert [Rule.ALLOW] == [rule.rule for rule in rules]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"account": "weixin:no@im.bot"}, "unknown-account"),
        ({"rule": "pending"}, "invalid-request"),
        ({"sender": ""}, "invalid-request"),
        ({"sender": "o9cq\u202e@im.wechat"}, "invalid-request"),
    ],
)
async def test_a_decision_that_makes_no_sense_is_refused(
    station: Station, change: dict[str, str], name: str
) -> None:
    """A typing error must not allow somebody else."""
    await station.with_account()
    body = {"account": ACCOUNT, "sender": "s", "rule": "allow", **change}
    assert name == problem_name(await station.client.post("/v1/access", json=body))


# events from the real store


async def test_events_of_the_real_store_reach_a_reader(station: Station) -> None:
    """From the commit to the wire, with the shapes of the contract."""
    await station.with_account()
    async with Stream(station.app) as stream:
        await hear(station, "问候")
        message = (await station.send("x")).json()
        received, state = await stream.next(), await stream.next()
        assert ("message.received", "问候", TARGET) == (
            received.event,
            received.data["message"]["text"],
            received.data["chat"],
        )
        shapes.Inbound.model_validate(received.data["message"])
        assert ("message.state", message["id"], "queued") == (
            state.event,
            state.data["message"]["id"],
            state.data["message"]["state"],
        )
        shapes.Message.model_validate(state.data["message"])
        assert received.id < state.id
    async with Stream(station.app, last_event_id="0") as stream:
        assert "account.state" == (await stream.next()).event
        assert received.id == (await stream.next()).id


# health


async def test_ready_means_that_the_dispatcher_runs(station: Station) -> None:
    """An open store alone sends nothing; the body says what is missing."""
    await station.with_account()
    answer = await station.client.get("/readyz")
    shapes.Readiness.model_validate(answer.json())
    assert (503, False) == (answer.status_code, answer.json()["ready"])
    assert ["not-running"] == [reason["code"] for reason in answer.json()["reasons"]]
    assert [ACCOUNT] == [account["id"] for account in answer.json()["accounts"]]


@pytest.mark.parametrize(("state", "strict"), [(AccountState.UP, 200), (AccountState.LOGIN_NEEDED, 503)])
async def test_strict_readiness_asks_for_every_account(
    station: Station, monkeypatch: pytest.MonkeyPatch, state: AccountState, strict: int
) -> None:
    """For those who want to be woken when one login is lost."""
    readiness = replace(await station.gateway.readiness(), ready=True, reasons=(), accounts={ACCOUNT: state})

    async def now() -> object:
        return readiness

    monkeypatch.setattr(station.gateway, "readiness", now)
    assert 200 == (await station.client.get("/readyz")).status_code
    every = await station.client.get("/readyz?accounts=all")
    assert strict == every.status_code
    assert (strict == 503) == bool(every.json()["reasons"]), "who waits for it is told for whom"
    assert 422 == (await station.client.get("/readyz?accounts=some")).status_code
    alive = await station.client.get("/healthz")
    assert (200, {"alive": True, "version": "1.2.3"}) == (alive.status_code, alive.json())


async def test_metrics_count_events_and_read_the_gateway(station: Station) -> None:
    """Account is a label, chat and sender never are."""
    await station.with_account()
    await hear(station)
    await station.send()
    await station.gateway.store.change_account(
        AccountChange(ACCOUNT, AccountState.LOGIN_NEEDED, 7, Reason("-14", "the login is over"))
    )
    text = (await station.client.get("/metrics")).text
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    mine = ("account", ACCOUNT)
    assert 1 == found["yizhan_received_total", ("access", "allowed"), mine]
    assert 1 == found["yizhan_messages_total", mine, ("state", "queued")]
    assert 1 == found["yizhan_live_messages", mine, ("state", "queued")]
    assert 1 == found["yizhan_account_state", mine, ("state", "login_needed")]
    assert 0 == found["yizhan_account_state", mine, ("state", "up")]
    assert 1 == found["yizhan_store_writable",]
    assert 0 == found["yizhan_alerts_open", ("kind", "disk")], "named before there ever was one"
    assert str(CHAT) not in text
    assert "Ann" not in text


def _alert(kind: AlertKind, since_ms: int, cleared_at_ms: int | None = None) -> Alert:
    name, severity = f"al_{kind.value}", Severity.WARNING
    return Alert(name, kind, severity, ACCOUNT, CHAT, None, "so", "do", since_ms, since_ms, 2, cleared_at_ms)


async def test_alerts_are_listed_open_first_in_the_shape_of_the_contract(station: Station) -> None:
    """What the console and `yizhan status` show is what programs get."""
    await station.with_account()
    alerts = [_alert(AlertKind.LIMITED, 5), _alert(AlertKind.WAITING, 9, 10), _alert(AlertKind.EXPIRED, 7)]
    await station.gateway.store.note_alerts([AlertChange(alert, True) for alert in alerts], 11)
    page = (await station.client.get("/v1/alerts?limit=2")).json()
    shapes.AlertPage.model_validate(page)
    assert ["expired", "limited"] == [alert["kind"] for alert in page["items"]]
    rest = (await station.client.get(f"/v1/alerts?limit=2&cursor={page['next']}")).json()
    assert [("waiting", "cleared", None)] == [
        (alert["kind"], alert["state"], rest["next"]) for alert in rest["items"]
    ]
    assert TARGET == page["items"][0]["chat"]
    only = (await station.client.get("/v1/alerts?state=cleared")).json()["items"]
    assert ["waiting"] == [alert["kind"] for alert in only]
    text = (await station.client.get("/metrics")).text
    assert 'yizhan_alerts_open{kind="limited"} 1.0' in text
    assert 'yizhan_alerts_open{kind="waiting"} 0.0' in text
    bad = await station.client.get("/v1/alerts?state=loud")
    assert (422, "state must be 'open' or 'cleared'.") == (bad.status_code, bad.json()["detail"])


async def test_settings_are_shown_without_secrets(station: Station) -> None:
    """What is in force, so that nobody has to guess which file was read."""
    shown = (await station.client.get("/v1/settings")).json()["settings"]
    assert (2000, "pairing") == (shown["delivery"]["text_max_chars"], shown["access"]["policy"])
    assert "home" not in shown
    agents = {
        "main": {"kind": "openai", "base_url": "http://u:sk-4@a", "model": "m", "api_key": "sk-1"},
        "tool": {"kind": "command", "argv": ["cat"], "env": {"TOKEN": "sk-2"}},
    }
    database = {"url": "postgresql+psycopg://u:sk-3@h/d"}
    gateway = gateway_on(
        station.gateway.store, station.gateway.settings.home, agents=agents, agent="main", database=database
    )
    shape = without_secrets(gateway.settings)
    assert "sk-" not in repr(shape)
    assert ("http://…@a", "…", {"TOKEN": "…"}, "…") == (
        shape["agents"]["main"]["base_url"],
        shape["agents"]["main"]["api_key"],
        shape["agents"]["tool"]["env"],
        shape["database"]["url"],
    )


async def test_an_unknown_address_and_a_wrong_method_are_problems_too(station: Station) -> None:
    """Every error has the same shape."""
    missing = await station.client.get("/v1/nothing")
    assert (404, "not-found") == (missing.status_code, problem_name(missing))
    wrong = await station.client.put("/v1/messages")
    assert (405, "method-not-allowed") == (wrong.status_code, problem_name(wrong))
    assert wrong.headers["allow"]
    assert 404 == (await station.client.get("/docs")).status_code
