"""`yizhan schedule`: the requests it makes, and what it does without a gateway."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Ran, SmallGateway

Run = Callable[..., Ran]
ID = "weixin:ab12@im.bot"
TO = f"{ID}:o9@im.wechat"
MADE = {"id": "sch_1", "state": "active", "next_due_at": "2026-11-23T01:00:00.000Z"}


def test_add_sends_what_was_given(run: Run, gateway: SmallGateway) -> None:
    """Lengths of time are written as people write them."""
    gateway.routes["POST", "/v1/schedules"] = (201, MADE)
    options = ("--zone", "UTC", "--missed", "all", "--jitter", "5m", "--expires", "2h", "--ends", "none")
    ran = run("schedule", "add", "0 9 * * *", "hi", "-t", TO, "--to", "weixin:b", *options, "--json")
    assert (0, MADE) == (ran.code, ran.json)
    assert {
        "when": "0 9 * * *",
        "text": "hi",
        "to": [TO, "weixin:b"],
        "zone": "UTC",
        "missed": "all",
        "jitter_s": 300,
        "expires_after_s": 7200,
        "ends_at": None,
    } == gateway.only.body


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("edit", "sch_1", "--text", "ho", "--jitter", "none"), {"text": "ho", "jitter_s": 0}),
        (("pause", "sch_1"), {"paused": True}),
        (("resume", "sch_1"), {"paused": False}),
    ],
)
def test_changes_name_only_what_changes(
    run: Run, gateway: SmallGateway, words: tuple[str, ...], body: dict[str, object]
) -> None:
    """`cron` is the same group under another name."""
    gateway.routes["PATCH", "/v1/schedules/sch_1"] = (200, MADE)
    told = run("cron", *words)
    assert (0, False) == (told.code, "it is over" in told.err)
    assert body == gateway.only.body


def test_who_resumes_what_is_over_is_told_how_it_begins_anew(run: Run, gateway: SmallGateway) -> None:
    gateway.routes["PATCH", "/v1/schedules/sch_1"] = (200, MADE | {"state": "ended", "next_due_at": None})
    told = run("schedule", "resume", "sch_1")
    assert (0, True) == (told.code, "yizhan schedule edit sch_1 --when" in told.err)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "30m", "hi"), "whom to write to"),
        (("add", "30m", "hi", "-t", TO, "--jitter", "soon"), "Write for example --jitter 30s"),
        (("add", "30m", "hi", "-t", TO, "--jitter", "2h"), "an hour at most"),
        (("add", "30m", "hi", "-t", TO, "--expires", "0"), "--expires 12h"),
        (("add", "30m", "hi", "-t", TO, "--missed", "some"), "--missed skip, once or all"),
        (("edit", "sch_1", "--ends", "tomorrow"), "--ends 2026-12-31T00:00:00Z"),
        (("edit", "sch_1"), "Nothing is to be changed"),
    ],
)
def test_mistakes_are_told_without_a_request(
    run: Run, gateway: SmallGateway, words: tuple[str, ...], says: str
) -> None:
    """Exit code 2, and what to change."""
    ran = run("schedule", *words)
    assert (2, True) == (ran.code, says in ran.err)


def test_without_a_gateway_it_is_written_down_shown_and_run(run: Run) -> None:
    """Added, listed, run by hand: on the store itself."""
    arguments = ("--account-id", "ab12@im.bot", "--token-stdin", "--base-url", "http://127.0.0.1:1")
    assert 0 == run("account", "add", "weixin", *arguments, stdin="ab12@im.bot:06\n").code
    added = run("schedule", "add", "0 9 * * *", "hello", "-t", TO, "--name", "晨报", "--json")
    assert (0, "active") == (added.code, added.json["state"])
    assert "no gateway is running" in added.err
    schedule = added.json["id"]
    shown = run("schedule", "list")
    assert all(words in shown.out for words in (schedule, "晨报", "0 9 * * *", "active"))
    ran = run("schedule", "run", schedule)
    assert (0, True) == (ran.code, f"{TO}  queued" in ran.out)
    history = run("schedule", "runs", schedule, "--json").json["items"]
    assert [("manual", ["queued"])] == [
        (each["cause"], [message["state"] for message in each["messages"]]) for each in history
    ]


def test_a_run_whose_answer_was_lost_can_be_repeated_safely(run: Run, gateway: SmallGateway) -> None:
    """Under the key that the error names."""
    path = "/v1/schedules/sch_1/run"
    gateway.routes["POST", path] = [None, (202, {"due_at": None, "state": "fired", "cause": "manual"})]
    lost = run("schedule", "run", "sch_1")
    key = gateway.asked[0].headers["idempotency-key"]
    assert (4, True) == (lost.code, f"--key {key}" in lost.err)
    assert 0 == run("schedule", "run", "sch_1", "--key", key).code
    assert [key, key] == [asked.headers["idempotency-key"] for asked in gateway.asked]
    assert 2 == run("schedule", "run", "sch_1", "--key", "钥匙").code
