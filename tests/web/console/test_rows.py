"""Rows as HTML: what a person reads must be true, and what somebody wrote must stay text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from string import Formatter

import pytest

from tests.house.conftest import sources
from yizhan.agents import FAILURE_CODES
from yizhan.core.verdict import VERDICT_NAMES
from yizhan.model import (
    Access,
    Account,
    AccountId,
    AccountState,
    Alert,
    AlertKind,
    Attempt,
    ChatId,
    Credentials,
    Dispatch,
    Entry,
    Inbound,
    InboundId,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Reason,
    Severity,
    Suppressed,
    Turn,
    TurnId,
    TurnState,
    WaitingFor,
)
from yizhan.ports import LoginStatus
from yizhan.runtime.views import AccountView, GateView
from yizhan.web.console.alert_rows import alerts, way_of
from yizhan.web.console.markup import escape, tag, visible
from yizhan.web.console.overview import account_card, by_urgency, summary
from yizhan.web.console.sentences import SENTENCES
from yizhan.web.console.timeline import LINES_SHOWN, Look, legend, timeline_row
from yizhan.web.console.words import Words, language_of

ACCOUNT = AccountId("weixin:ab12@im.bot")
CHAT = ChatId("o9cq@im.wechat")
EN, ZH = Words("en"), Words("zh")
NOW_MS = 1_800_000_000_000


def message(*entries: Entry, **more: object) -> Message:
    made = Message(
        MessageId("m_1"), ACCOUNT, CHAT, 1, MessageClass.REPLY, "turn", "text", NOW_MS, NOW_MS + 1000, entries
    )
    return replace(made, **({"state": entries[0].state} | more))  # type: ignore[arg-type]


def part(state: MessageState, no: int = 1, text: str = "text", **more: object) -> Entry:
    return replace(Entry(no, text, f"c{no}"), state=state, **more)  # type: ignore[arg-type]


def heard(text: str) -> Inbound:
    return Inbound(
        InboundId("i_1"),
        ACCOUNT,
        CHAT,
        "p1",
        "o9cq",
        "",
        text,
        "",
        (),
        0,
        NOW_MS,
        Access.ALLOWED,
        Dispatch.DONE,
    )


def account(state: AccountState, **more: object) -> AccountView:
    credentials = Credentials("canary-secret", "https://ilink.example")
    made = Account(ACCOUNT, credentials, state, NOW_MS, NOW_MS, cursor="canary-cursor")
    return AccountView(replace(made, **more), (), {}, None)  # type: ignore[arg-type]


def seen(html: str) -> str:
    """The words a person reads, without markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def test_markup_in_a_message_stays_text() -> None:
    """Whoever writes to the bot must not write into its operator's page."""
    html = timeline_row(Look(EN), heard('<img src=x onerror=alert(1)> & "quoted" <script>'))
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; &quot;quoted&quot; &lt;script&gt;" in html


def test_attributes_are_escaped_too() -> None:
    assert '<a title="&quot;&gt;&lt;b&gt;"></a>' == tag("a", title='"><b>')


def test_control_characters_are_seen() -> None:
    """What is invisible hides what was really sent; what turns the reading direction lies about it."""
    assert "a␀b␛c\n\td�e␡" == visible("a\x00b\x1bc\r\n\td\u202ee\x7f")
    assert escape("plain, 中文, 😀") == "plain, 中文, 😀"


@pytest.mark.parametrize("state", MessageState)
@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh"])
def test_a_part_says_its_own_state_and_no_other(words: Words, state: MessageState) -> None:
    """ "Delivered" beside a part that waits is the very lie this page exists against."""
    html = timeline_row(Look(words), message(part(state)))
    marks = re.findall(r'<span class="mark[^>]*>.*?<span>(.*?)</span>', html)
    assert [words(state.value)] == marks
    assert f'data-state="{state.value}"' in html


def test_a_waiting_part_tells_why_and_until_when() -> None:
    waiting = part(
        MessageState.WAITING,
        waiting_for=WaitingFor.LIMIT,
        next_attempt_at_ms=NOW_MS + 9000,
        reason=Reason("-2", "rate limited"),
    )
    html = timeline_row(Look(EN), message(waiting))
    assert "Waiting" in seen(html)
    assert "the platform limits sending" in seen(html)
    assert "The answer was -2: rate limited" in seen(html)
    assert f'data-ms="{NOW_MS + 9000}" data-form="until"' in html


def test_what_the_gates_make_a_message_wait_for_is_told_of_its_first_live_part() -> None:
    """The gateway knows that of the message; the parts behind wait for the one before them."""
    live = message(
        part(MessageState.DELIVERED, 1),
        part(MessageState.QUEUED, 2),
        part(MessageState.QUEUED, 3),
        state=MessageState.WAITING,
        waiting_for=WaitingFor.LOGIN,
    )
    first, second, third = re.findall(r"<li data-part=.*?</li>", timeline_row(Look(EN), live))
    assert "until somebody logs in again" not in seen(first)
    assert "until somebody logs in again" in seen(second)
    assert "those before it go first" in seen(third)
    assert "1 of 3 parts delivered" in seen(timeline_row(Look(EN), live))


def test_what_may_be_doubled_says_so() -> None:
    html = timeline_row(Look(EN), message(part(MessageState.DELIVERED, possibly_doubled=True, receipt="74")))
    assert "Possibly doubled" in seen(html)
    assert "Receipt 74" in html


def test_attempts_are_shown_when_asked_for() -> None:
    tried = Attempt(1, NOW_MS, True, NOW_MS, "Throttled", "-2", "rate limited")
    row = message(part(MessageState.WAITING, attempts=(tried,)))
    folded = timeline_row(Look(EN), row)
    unfolded = timeline_row(Look(EN, frozenset({"attempts/m_1/1"})), row)
    assert "Attempts: 1" in seen(folded)
    assert "with reply token" not in seen(folded)
    assert "1. 2027-01-15T08:00:00.000Z with reply token Limited -2 rate limited" in seen(unfolded)


def test_a_long_text_is_folded_and_unfolds() -> None:
    """A hundred rows of a hundred thousand characters would bring any browser down."""
    for long in ("x" * 50_000, "y\n" * 500):
        folded = timeline_row(Look(EN), heard(long))
        assert len(folded) < 3000
        assert folded.count("\n") <= LINES_SHOWN
        assert f"Show all {len(long)} characters" in seen(folded)
        assert long in timeline_row(Look(EN, frozenset({"text/i_1"})), heard(long))


def test_a_failed_turn_tells_the_operator_the_cause() -> None:
    failed = Turn(
        TurnId("t_1"),
        ACCOUNT,
        CHAT,
        "main",
        TurnState.FAILED,
        (),
        NOW_MS,
        reason=Reason("agent-timeout", "60 s"),
    )
    told = seen(timeline_row(Look(EN), failed))
    assert told.startswith("main could not answer")
    assert "The agent took too long (60 s)" in told


def _codes(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id="Reason" | "AgentFailed"), args=[ast.Constant(value=str(code)), *_]):
            yield code


@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh"])
def test_a_reason_of_our_own_has_words_of_our_own(words: Words) -> None:
    """A chat that a person took over read "The answer was taken-over", as if the platform had said so."""
    codes = {code for tree in sources().values() for node in ast.walk(tree) for code in _codes(node)}
    codes |= set(FAILURE_CODES)
    assert {"taken-over", "interrupted", "agent-gone", "agent-busy", "crash"} < codes
    said = {code: words.reason(Reason(code, "as it was said")) for code in codes}
    assert [] == [
        code for code, told in said.items() if told == words("said", code=code, text="as it was said")
    ]


def test_a_recognised_repeat_is_listed() -> None:
    """What was not acted on is not hidden either."""
    repeat = Suppressed(ACCOUNT, CHAT, InboundId("i_1"), "p2", NOW_MS, "content")
    assert "A repeated delivery of the same message was recognised" in seen(timeline_row(Look(EN), repeat))


def test_who_was_refused_at_the_door_is_told_by_which_rule() -> None:
    refused = replace(heard("hi"), access=Access.DENIED, rule="groups-off")
    told = seen(timeline_row(Look(EN), refused))
    assert "Not allowed; not answered the agent does not speak in groups" in told
    named = {
        str(call.args[1].value)
        for call in ast.walk(sources()["yizhan.core.access"])
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Ruling"
        if isinstance(call.args[1], ast.Constant)
    } | {"per-minute", "per-day"}
    assert {"blocked", "groups-off", "pairing"} <= named
    lets_in = {"allowed", "configured", "owner", "open", "group-open"}
    assert {f"rule.{name}" for name in named - lets_in} <= SENTENCES.keys()


def test_the_legend_explains_every_mark() -> None:
    for state in MessageState:
        assert EN(f"{state}.means") in seen(legend(EN))


@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh"])
def test_everything_that_can_be_shown_has_words(words: Words) -> None:
    """A new state without a sentence would break the page in front of its operator."""
    names = [f"{state}" for state in MessageState] + [f"{state}.means" for state in MessageState]
    names += [f"state.{state}{end}" for state in AccountState for end in ("", ".means", ".who")]
    names += [f"for.{waiting}" for waiting in WaitingFor] + [f"verdict.{name}" for name in VERDICT_NAMES]
    names += [f"class.{klass.name.lower()}" for klass in MessageClass]
    names += [f"turn.{state}" for state in TurnState] + [f"login.{status}" for status in LoginStatus]
    names += [f"access.{access}" for access in Access if access is not Access.ALLOWED]
    assert [] == [name for name in names if name not in SENTENCES]
    assert words.language in ("zh", "en")


def test_both_languages_have_the_same_blanks() -> None:
    """A blank that one language forgets is a fact that its readers never learn."""
    for name, (chinese, english) in SENTENCES.items():
        blanks = [
            {field for _, field, _, _ in Formatter().parse(text) if field} for text in (chinese, english)
        ]
        assert blanks[0] == blanks[1], name
        assert chinese.strip(), name
        assert english.strip(), name


def test_the_language_is_the_chosen_one_else_the_browsers() -> None:
    assert "zh" == language_of(None, "zh-CN,zh;q=0.9,en;q=0.8")
    assert "zh" == language_of(None, "de, zh-TW;q=0.5")
    assert "en" == language_of(None, "en;q=0.9, zh;q=0.1")
    assert "en" == language_of(None, "")
    assert "en" == language_of(None, "fr;q=wrong")
    assert "zh" == language_of("zh", "en")
    assert "en" == language_of("<script>", "en")


def test_an_account_shows_who_must_act_and_no_secret() -> None:
    view = account(
        AccountState.LOGIN_NEEDED,
        reason=Reason("-14", "session timeout"),
        action="log in again: yizhan login weixin",
    )
    html = account_card(EN, view, NOW_MS)
    assert "Login needed" in seen(html)
    assert "You: Log in again" in seen(html)
    assert '<a href="accounts">' in html
    assert "canary" not in html


def test_a_barred_account_shows_what_the_platform_advises() -> None:
    view = account(AccountState.BARRED, reason=Reason("-9", "banned"), action="write to support")
    assert "write to support" in seen(account_card(EN, view, NOW_MS))
    assert "Next attempt" not in seen(account_card(EN, view, NOW_MS))


def test_a_barred_account_shows_its_slow_retry_and_the_platforms_reason_in_the_readers_language() -> None:
    """Whoever has mended it on QQ's pages wonders whether anything will happen."""
    reason = Reason("100016", "app id and client secret do not belong together")
    view = account(AccountState.BARRED, reason=reason, next_attempt_at_ms=NOW_MS + 600_000)
    card = account_card(ZH, view, NOW_MS)
    assert f'data-ms="{NOW_MS + 600_000}"' in card
    assert "AppID 与 AppSecret 不匹配" in seen(card)


def test_a_text_that_was_changed_on_its_way_is_said_to_be_so() -> None:
    """The console showed a link as delivered, and the phone a text that nobody could click."""
    rewritten = message(part(MessageState.DELIVERED, text="https://example.org", form="bare"))
    assert "Links rewritten" in seen(timeline_row(Look(EN), rewritten))
    assert "链接已改写" in seen(timeline_row(Look(ZH), rewritten))
    assert "rewritten" not in seen(
        timeline_row(Look(EN), message(part(MessageState.DELIVERED, form="markdown")))
    )


def test_a_next_attempt_that_has_passed_is_not_announced() -> None:
    """A time in the past is no promise: either another one is known, or it is being tried."""
    passed = account(AccountState.DOWN, next_attempt_at_ms=NOW_MS - 1)
    assert "trying now" in seen(account_card(EN, passed, NOW_MS))
    host = replace(
        passed, gates=(GateView("host", "ilink.example", NOW_MS + 700, 2, "the host cannot be reached"),)
    )
    assert f'data-ms="{NOW_MS + 700}"' in account_card(EN, host, NOW_MS)


def test_gates_speak_plainly() -> None:
    gates = (
        GateView("chat", "o9<b>@im.wechat", NOW_MS + 5, 3, "refused 3 times in a row"),
        GateView("account", ACCOUNT, NOW_MS + 5, 2, "answers were lost"),
        GateView("host", "ilink.example", NOW_MS + 5, 1, "the host cannot be reached"),
    )
    said = seen(account_card(EN, replace(account(AccountState.UP), gates=gates), NOW_MS))
    assert "Chat o9&lt;b&gt;@im.wechat : the platform limits sending refusals in a row: 3" in said
    assert "Whole account: answers to our sends are lost" in said
    assert "ilink.example cannot be reached" in said


def test_a_chat_without_receipts_is_told_apart_from_a_limited_one() -> None:
    """The platform refuses nothing there; perhaps it shows nothing either."""
    why = "4 in a row were accepted without a receipt"
    gate = GateView("chat", "o9@im.wechat", NOW_MS + 5, 0, why, ghosts=4)
    said = seen(account_card(EN, replace(account(AccountState.UP), gates=(gate,)), NOW_MS))
    assert "no receipt for the last 4; pushes are slowed down, answers are not" in said


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_of_alert_has_words_in_both_languages(kind: AlertKind) -> None:
    """And its text, which may quote a platform, stays text."""
    alert = Alert(
        "al_1", kind, Severity.CRITICAL, ACCOUNT, None, None, "the platform said <b>", "do it", NOW_MS, NOW_MS
    )
    for words in (EN, ZH):
        html = alerts(words, [alert])
        assert words(f"alert.{kind}") in html
        assert "<b>" not in html
        assert f'data-alert="{kind.value}"' in html
    assert "" == alerts(EN, [])


ALERT = Alert("al_1", AlertKind.EXPIRED, Severity.WARNING, ACCOUNT, CHAT, None, "", "", NOW_MS, NOW_MS)


@pytest.mark.parametrize(
    ("kind", "text", "action", "chinese"),
    [
        (AlertKind.EXPIRED, "1 message has expired lately.", "yizhan outbox list", "1 条消息最近过期。"),
        (
            AlertKind.WAITING,
            "7 messages have waited longer than 15 min in 2 chats.",
            "yizhan outbox show m_1",
            "7 条消息等待超过 15 分钟，在 2 个会话里。",
        ),
        (AlertKind.LOGIN_NEEDED, "The login is over: gone.", "yizhan login weixin", "登录失效：gone。"),
        (AlertKind.ACCOUNT_DOWN, "The platform has not answered for 2 h.", "", "平台已有 2 小时 没有应答。"),
    ],
)
def test_an_alert_is_said_in_the_readers_language(
    kind: AlertKind, text: str, action: str, chinese: str
) -> None:
    """A Chinese overview told in English what was wrong, and a command where a page does the same."""
    alert = replace(ALERT, kind=kind, text=text, action=action)
    assert chinese in alerts(ZH, [alert])
    assert text in alerts(EN, [alert])
    assert "yizhan" not in seen(alerts(EN, [alert]) + alerts(ZH, [alert]))


def test_an_alert_leads_to_the_page_on_which_one_can_act() -> None:
    ways = {kind: way_of(replace(ALERT, kind=kind)) for kind in AlertKind}
    assert "outbox?state=expired&account=weixin%3Aab12" in str(ways[AlertKind.EXPIRED])
    assert "cause=operator" in str(ways[AlertKind.IN_DOUBT])
    assert ("accounts", "schedules", None) == (
        ways[AlertKind.LOGIN_NEEDED],
        ways[AlertKind.SCHEDULE],
        ways[AlertKind.DISK],
    )
    barred = replace(ALERT, kind=AlertKind.BARRED, action="look at its state on q.qq.com")
    assert "到 q.qq.com 查看" in alerts(ZH, [barred])
    assert "chat=" not in str(way_of(replace(ALERT, chat=None)))


def test_what_a_part_waits_for_is_not_said_twice() -> None:
    waits = part(MessageState.WAITING, waiting_for=WaitingFor.LIMIT, reason=Reason("limited", "limited"))
    assert 1 == seen(timeline_row(Look(EN), message(waits))).casefold().count("the platform limits sending")
    told = replace(waits, reason=Reason("-2", "rate limited"))
    assert "The answer was -2: rate limited" in seen(timeline_row(Look(EN), message(told)))


def test_accounts_that_need_a_person_come_first() -> None:
    views = [account(state) for state in (AccountState.UP, AccountState.DOWN, AccountState.BARRED)]
    assert [AccountState.BARRED, AccountState.DOWN, AccountState.UP] == [
        view.account.state for view in by_urgency(views)
    ]
    assert "Accounts that need a person: 1 Accounts without a connection: 1" == seen(summary(EN, views))
    assert "Every account is connected" == seen(summary(EN, views[:1]))
