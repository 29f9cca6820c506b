"""Pages on which a person acts, as HTML: what they offer, what they ask first, and that nothing in them is a trap."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from urllib.parse import parse_qsl

import pytest

from yizhan.core.connection import Lost, LostKind
from yizhan.errors import InvalidRequest
from yizhan.model import (
    Account,
    AccountId,
    AccountState,
    ApiKey,
    Chat,
    ChatId,
    Credentials,
    Entry,
    Message,
    MessageClass,
    MessageId,
    MessageState,
    Missed,
    Reason,
    Rule,
    Run,
    RunCause,
    RunId,
    RunState,
    Schedule,
    ScheduleId,
    SenderRule,
    Target,
    WaitingFor,
)
from yizhan.ports import MessageFilter, RunView, Tally
from yizhan.runtime.views import AccountView, AllowanceView, ChatAllowanceView, GateView, ScheduleWish
from yizhan.settings import Access as ReadAccess
from yizhan.settings import Settings
from yizhan.web.console import (
    accounts,
    advice,
    day,
    desk,
    outbox,
    overview,
    people,
    schedule_form,
    schedules,
    settings_rows,
    timeline,
)
from yizhan.web.console.accounts import qq_of
from yizhan.web.console.sentences import SENTENCES
from yizhan.web.console.words import Words

ZH, EN = Words("zh"), Words("en")
ACCOUNT = AccountId("weixin:ab12@im.bot")
CHAT = ChatId("o9cq@im.wechat")
NOW_MS = 1_800_000_000_000


def message(state: MessageState = MessageState.WAITING, **more: object) -> Message:
    entry = Entry(1, "text", "c1", state)
    made = Message(
        MessageId("m_1"),
        ACCOUNT,
        CHAT,
        1,
        MessageClass.PUSH,
        "api",
        "text",
        NOW_MS,
        NOW_MS + 1,
        (entry,),
        state,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def account(state: AccountState = AccountState.UP, **more: object) -> Account:
    made = Account(ACCOUNT, Credentials("canary-secret", "https://ilink.example"), state, NOW_MS, NOW_MS)
    return replace(made, **more)  # type: ignore[arg-type]


def seen(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def asked(html: str) -> list[tuple[str, bool]]:
    """The acts that buttons ask for, and whether they ask "are you sure?" first."""
    buttons = re.findall(r"<button[^>]*>", html)
    return [
        (found[1], "data-confirm" in each)
        for each in buttons
        if (found := re.search(r'data-do="([^"]*)"', each))
    ]


@pytest.mark.parametrize(
    ("state", "acts"),
    [
        (MessageState.DELIVERED, []),
        (MessageState.WAITING, [("retry", False), ("cancel", False)]),
        (MessageState.QUEUED, [("retry", False), ("cancel", False)]),
        (MessageState.FAILED, [("retry", False)]),
        (MessageState.EXPIRED, [("retry", False)]),
        (MessageState.CANCELLED, [("retry", False)]),
        (MessageState.UNCONFIRMED, [("retry", True)]),
    ],
)
def test_a_message_offers_what_its_state_allows(state: MessageState, acts: list[tuple[str, bool]]) -> None:
    """What may be shown twice is asked first; what is delivered is left alone."""
    html = "".join(timeline.acts_on(EN, message(state)))
    assert acts == asked(html)
    assert not acts or 'data-about="m_1"' in html


def test_a_row_of_the_outbox_tells_fate_and_reason() -> None:
    waits = message(
        waiting_for=WaitingFor.LIMIT,
        next_attempt_at_ms=NOW_MS + 9,
        reason=Reason("-2", "rate limited"),
        text="<img src=x> " + "w" * 200,
    )
    html = outbox.message_table(EN, [waits])
    assert "<img" not in html
    assert "Waiting the platform limits sending next attempt" in seen(html)
    assert "The answer was -2: rate limited" in seen(html)
    assert "w" * 150 not in html
    assert "No message fits" in seen(outbox.message_table(EN, []))


def test_what_is_wished_becomes_a_filter() -> None:
    here = Target(ACCOUNT, CHAT)
    assert MessageFilter() == outbox.Wish().filter
    dead = frozenset({MessageState.FAILED, MessageState.EXPIRED})
    assert (
        MessageFilter(ACCOUNT, CHAT, dead, cause="-2")
        == outbox.Wish("dead", "", here, str(here), "-2").filter
    )
    assert MessageFilter(ACCOUNT) == outbox.Wish(account=ACCOUNT).filter
    assert outbox.Wish(chat_typed="nonsense").wrong
    assert not outbox.Wish(chat=here, chat_typed=str(here)).wrong


def test_the_filter_offers_every_state_and_keeps_what_was_typed() -> None:
    html = outbox.filter_form(EN, outbox.Wish("dead", ACCOUNT, None, 'a"b', "-2"), [ACCOUNT])
    assert {"", "live", "dead", *MessageState} == set(
        re.findall(r'<option value="([^"]*)"', html.partition("</select>")[0])
    )
    assert '<option value="dead" selected>' in html
    assert 'value="a&quot;b"' in html


def test_many_at_once_are_counted_and_asked_first() -> None:
    assert "Back in the queue: 3; 2 had changed meanwhile and were left alone" == outbox.done_words(
        EN, "retried", 3, 2, False
    )
    assert "Cancelled: 1000; there are more, do it again" == outbox.done_words(EN, "cancelled", 1000, 0, True)
    many = asked(outbox.bulk_bar(EN, outbox.Wish()))
    assert [("retry", True), ("cancel", True), ("retry_all", True), ("cancel_all", True)] == many


def test_the_export_is_of_what_is_shown() -> None:
    """The file of the API, with the page's own filter."""
    here = Target(ACCOUNT, CHAT)
    html = outbox.bulk_bar(EN, outbox.Wish("dead", ACCOUNT, here, str(here), "-2"))
    asked_for = re.search(r'href="([^"]*)"', html)
    assert asked_for is not None
    page, _, query = unescape(asked_for[1]).partition("?")
    assert "../v1/export/messages" == page
    wished = {"state": "expired,failed", "account": ACCOUNT, "chat": str(here), "cause": "-2"}
    assert wished == dict(parse_qsl(query))
    assert "href" not in outbox.bulk_bar(EN, outbox.Wish(chat_typed="nonsense"))


def test_the_day_is_counted_by_hours() -> None:
    since_ms = day.day_since_ms(NOW_MS)
    assert since_ms <= NOW_MS - 23 * day.HOUR_MS < since_ms + day.HOUR_MS
    tallies = [
        Tally(since_ms, {MessageState.DELIVERED: 7, MessageState.CANCELLED: 9}),
        Tally(
            since_ms + 23 * day.HOUR_MS,
            {MessageState.QUEUED: 1, MessageState.SENDING: 1, MessageState.EXPIRED: 2},
        ),
    ]
    told = day.day_of(tallies, since_ms)
    assert 24 == len(told.hours)
    assert [7, 2, 0, 2] == [told.total(kind) for kind in day.KINDS]
    html = day.picture(EN, told)
    assert "Delivered 7 Waiting 2 Unconfirmed 0 Failed or expired 2" in seen(html)
    assert (
        'aria-label="The last 24 hours: Delivered 7, Waiting 2, Unconfirmed 0, Failed or expired 2"' in html
    )
    assert 3 == html.count("<rect")
    assert "<svg" not in day.picture(EN, day.day_of([], since_ms))


def test_one_among_thousands_can_still_be_seen() -> None:
    since_ms = day.day_since_ms(NOW_MS)
    crowd = Tally(since_ms, {MessageState.DELIVERED: 100_000, MessageState.FAILED: 1})
    heights = re.findall(r'height="([\d.]+)" class="bad"', day.picture(EN, day.day_of([crowd], since_ms)))
    assert ["3.0"] == heights


def test_a_card_tells_the_learned_limit_the_allowance_and_the_oldest() -> None:
    gate = GateView(
        "account", ACCOUNT, NOW_MS + 5, 2, "refused 2 times in a row", "10 per 20.4 s", fits=10, per_ms=20_400
    )
    view = AccountView(
        account(),
        (gate,),
        {MessageState.WAITING: 3},
        NOW_MS - 5,
        AllowanceView(10, 86_400_000, True),
        MessageId("m_1"),
        {WaitingFor.LIMIT: 2},
    )
    oldest = message(waiting_for=WaitingFor.ALLOWANCE, next_attempt_at_ms=NOW_MS + 9)
    said = seen(overview.account_card(EN, view, NOW_MS, oldest))
    assert "Learned: 10 in 20.4 s" in said
    assert "10 for each message of the other side, within 24 h (learned from refusals)" in said
    assert "2 for the platform’s limit" in said
    assert "The oldest o9cq@im.wechat" in said
    assert "the allowance is used up next attempt" in said
    spaced = replace(
        view, gates=(replace(gate, fits=1, per_ms=2_100),), allowance=AllowanceView(None, None, False)
    )
    said = seen(overview.account_card(ZH, spaced, NOW_MS))
    assert "每 2.1 秒 一条" in said
    assert "没有条数限制" in said


@pytest.mark.parametrize(
    ("left", "until_ms", "waits", "expected"),
    [
        (3, NOW_MS + 9, None, "3 more may be sent the context ends"),
        (0, NOW_MS + 9, WaitingFor.ALLOWANCE, "The allowance is used up"),
        (4, NOW_MS - 9, WaitingFor.ALLOWANCE, "The context is over"),
    ],
)
def test_a_chat_tells_what_may_still_be_sent(
    left: int, until_ms: int, waits: WaitingFor | None, expected: str
) -> None:
    view = ChatAllowanceView(1, left, until_ms, waits, None, None)
    chat = Chat(ACCOUNT, CHAT, "direct", "Lin", NOW_MS)
    assert expected in seen(desk.head(EN, chat, account(), view, ""))


def test_who_answers_is_said_and_can_be_changed() -> None:
    chat = Chat(ACCOUNT, CHAT, "direct", "Lin", NOW_MS)
    assert ("main answers this chat." in desk.who_answers(EN, chat, "main"), [("takeover", False)]) == (
        True,
        asked(desk.who_answers(EN, chat, "main")),
    )
    assert "No agent answers." in desk.who_answers(EN, chat, "none")
    taken = desk.who_answers(ZH, replace(chat, taken_over_at_ms=NOW_MS), "main")
    assert "由你回答" in taken
    assert [("handback", False)] == asked(taken)


CONFIGURED = people.Configured(
    ReadAccess(allow=("friend", "boss"), admins=("boss", "<b>chief</b>"), per_day=7),
    {"access.allow": "file", "access.admins": "environment"},
    {ACCOUNT: "ann", AccountId("qq:1"): ""},
)


def test_what_the_configuration_says_stands_beside_what_was_decided() -> None:
    """Somebody was answered, and no page said why."""
    told = seen(people.configured_panel(EN, CONFIGURED))
    assert "Always allowed friend boss access.allow file" in told
    assert "boss &lt;b&gt;chief&lt;/b&gt; access.admins environment" in told
    assert f"as admins ann · {ACCOUNT}" in told
    assert "Most per person and day 7 access.per_day default" in told
    assert "per_minute" not in told
    roles = {name: CONFIGURED.role(ACCOUNT, name) for name in ("ann", "boss", "friend", "stranger")}
    assert {"ann": "owner", "boss": "admin", "friend": "configured", "stranger": None} == roles
    assert CONFIGURED.role(AccountId("qq:1"), "ann") is None
    many = people.Configured(ReadAccess(allow=tuple(f"p{n}" for n in range(25))), {}, {})
    assert "p19 + 5" in seen(people.configured_panel(EN, many))


def test_a_person_is_shown_with_role_code_and_the_rule_that_refused() -> None:
    asked = SenderRule(
        ACCOUNT, "boss", "", Rule.PENDING, "hi", 1, 2, refused=3, refused_by="per-day", code="AB-CD"
    )
    told = seen(people.people_table(EN, [asked], CONFIGURED))
    assert "Waiting for you admin code AB-CD" in told
    assert "3 not answered: asked too often within a day" in told


def test_those_who_wait_for_a_decision_come_first_with_their_words() -> None:
    def rule(sender: str, ruled: Rule, seen_ms: int) -> SenderRule:
        return SenderRule(ACCOUNT, sender, "", ruled, "<b>hi</b>", NOW_MS, seen_ms)

    rules = [
        rule("a", Rule.BLOCK, 9),
        rule("b", Rule.ALLOW, 8),
        rule("c", Rule.PENDING, 1),
        rule("d", Rule.PENDING, 2),
    ]
    assert ["d", "c", "b", "a"] == [each.sender_id for each in people.in_order(rules)]
    html = people.people_table(EN, people.in_order(rules), CONFIGURED)
    assert "<b>" not in html
    assert [("allow", False), ("block", False)] == asked(html)[:2]
    assert 'data-about="weixin:ab12@im.bot d"' in html


def test_accounts_that_are_removed_are_asked_about_and_no_secret_is_shown() -> None:
    html = accounts.account_table(EN, [account(AccountState.LOGIN_NEEDED), account(paused=True)])
    assert [("login", False), ("test", False), ("pause", False), ("remove", True)] == asked(html)[:4]
    assert ("resume", False) in asked(html)
    assert "canary" not in html + accounts.panels(EN, ["weixin", "qq"])


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"app": ["12a"], "secret": ["s"]}, "no app id"),
        ({"app": [""], "secret": ["s"]}, "no app id"),
        ({"app": ["12"], "secret": ["s"], "api": ["ftp://x"]}, "no address"),
        ({"app": ["12"], "secret": ["s"], "token": ["https://u:canary@x"]}, "no address"),
    ],
)
def test_what_is_no_qq_bot_is_refused_without_repeating_it(
    typed: dict[str, list[str]], complaint: str
) -> None:
    with pytest.raises(InvalidRequest, match=complaint) as refused:
        qq_of(typed, "https://api.example")
    assert "canary" not in refused.value.detail + refused.value.fix


@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh"])
def test_refused_credentials_tell_what_to_change(words: Words) -> None:
    """ "Not accepted" alone leaves its reader with a form that looks right."""
    wrong = Lost(LostKind.BARRED, "100016", "no", "check it: yizhan account add qq --app-id …")
    told = accounts.refusal(words, "qq.not", wrong)
    assert words("fix.100016") in told
    assert "yizhan account add" not in told, "this is the page on which it is changed"
    not_listed = Lost(LostKind.BARRED, "11298", "no", "look at the bot's state on q.qq.com")
    assert advice.told(words.language, not_listed.action)[0] in accounts.refusal(words, "qq.not", not_listed)
    away = Lost(LostKind.UNREACHABLE, "not_sent", "refused")
    assert words("reason.not_sent") in accounts.refusal(words, "accounts.tested.not", away)


def test_a_qq_form_becomes_credentials() -> None:
    app, made = qq_of(
        {"app": [" 102 "], "secret": [" s3 "], "webhook": ["yes"], "deed": ["test"]}, "https://api.example"
    )
    assert ("102", "s3", "https://api.example", True) == (app, made.secret, made.base_url, made.webhook)


def test_settings_show_what_differs_first_and_no_secret() -> None:
    agent = {"kind": "openai", "base_url": "http://a.example", "model": "m", "api_key": "canary-key"}
    settings = Settings.model_validate(
        {"home": "/h", "agent": "main", "agents": {"main": agent}, "language": "en"}
    )
    html = settings_rows.settings_tables(EN, settings)
    changed = html.partition("<details")[0]
    assert {"agent", "language", "agents.main.base_url"} <= set(
        re.findall(r'data-setting="([^"]*)"', changed)
    )
    assert "agents.main.timeout_s" not in changed
    assert 'data-setting="server.port"' in html
    assert "canary" not in html
    told = Settings.model_validate({"home": "/h", "language": "en"})
    told._sources.update({"language": "environment", "server.port": "default"})
    row = settings_rows.settings_tables(EN, told).partition("<details")[0]
    assert "language en environment" in seen(row)
    assert "server.port" not in row
    fresh = settings_rows.settings_tables(EN, Settings.model_validate({"home": "/h"}))
    assert "Everything has its default" in fresh


def test_keys_in_use_come_first_and_are_revoked_only_after_a_question() -> None:
    def key(number: int, revoked: int | None) -> ApiKey:
        return ApiKey(f"k_{number}", f"<{number}>", "hash-canary", frozenset({"read"}), number, revoked)

    html = settings_rows.key_table(EN, [key(1, 5), key(2, None), key(3, None)])
    assert ["k_3", "k_2", "k_1"] == re.findall(r'data-key="([^"]*)"', html)
    assert [("revoke", True), ("revoke", True)] == asked(html)
    assert "canary" not in html
    assert "No keys yet" in settings_rows.key_table(EN, [])


def schedule(**more: object) -> Schedule:
    made = Schedule(
        ScheduleId("sch_1"), "", "0 9 * * *", "Asia/Shanghai", "good <b>morning</b>", (Target(ACCOUNT, CHAT),),
        NOW_MS, NOW_MS, NOW_MS, next_due_ms=NOW_MS + 9,
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_schedule_tells_when_it_is_due_next() -> None:
    html = schedules.schedule_table(EN, [schedule(), schedule(paused=True), schedule(next_due_ms=None)])
    assert "<b>" not in html
    assert f'data-ms="{NOW_MS + 9}" data-form="until"' in html
    switches = ("pause", "resume", "again")
    assert ["pause", "resume", "again"] == [act for act, _ in asked(html) if act in switches]
    assert {True} == {sure for act, sure in asked(html) if act == "remove"}
    assert "never again" in seen(html)
    assert "No schedules yet" in seen(schedules.schedule_table(EN, []))


def test_a_run_tells_the_fate_of_what_it_said() -> None:
    refused = ((Target(ACCOUNT, ChatId("gone")), Reason("unknown-account", "no such <account>")),)
    run = Run(
        RunId("run_1"),
        ScheduleId("sch_1"),
        "k",
        RunCause.MANUAL,
        RunState.FIRED,
        NOW_MS,
        NOW_MS,
        3,
        refused=refused,
    )
    said = schedules.run_table(EN, [RunView(run, (message(waiting_for=WaitingFor.LIMIT),))])
    assert "by hand missed: 3 Waiting o9cq@im.wechat the platform limits sending gone" in seen(said)
    assert "<account>" not in said
    assert "Delivered" not in seen(said)
    skipped = schedules.run_table(EN, [RunView(replace(run, state=RunState.SKIPPED, refused=()), ())])
    assert "skipped" in seen(skipped)


def test_what_is_typed_becomes_a_wish_and_back() -> None:
    typed = {
        "called": [" Morning  call "], "due": ["0 9 * * *"], "zone": [""], "kind": ["prompt"], "said": ["hi\r\nthere"],
        "to": ["weixin:a@im.bot:u1\r\n\r\nweixin:a@im.bot:u2"], "missed": ["all"], "most": ["3"], "jitter": ["5"],
        "expires": [""], "ends": ["2030-01-01T09:00"],
    }  # fmt: skip
    wish = schedule_form.wish_of(typed, "Asia/Shanghai")
    assert ("Morning call", "Asia/Shanghai", None, "hi\nthere") == (
        wish.name,
        wish.zone,
        wish.text,
        wish.prompt,
    )
    assert ("weixin:a@im.bot:u1", "weixin:a@im.bot:u2") == wish.to
    assert (Missed.ALL, 3, 5_000, 0) == (wish.missed, wish.missed_most, wish.jitter_ms, wish.lifetime_ms)
    assert 1_893_459_600_000 == wish.ends_at_ms
    html = schedule_form.form(EN, schedule(ends_at_ms=wish.ends_at_ms), "UTC", [])
    assert 'value="2030-01-01T09:00"' in html


FINE = {
    "jitter_ms": 1_234_567,
    "lifetime_ms": 30_001,
    "ends_at_ms": 1_893_459_630_007,
    "text": " two\nlines\n",
}


@pytest.mark.parametrize("more", [{}, FINE, FINE | {"prompt": True, "missed": Missed.ALL, "name": "Tea"}])
def test_saving_a_form_that_nobody_touched_changes_nothing(more: dict[str, object]) -> None:
    """Half a second of jitter became none, and an end lost its seconds, when only the name was changed."""
    shown = schedule(**more)
    filled = {name: [text.strip()] for name, text in schedule_form.texts_of(shown).items()}
    for value in (filled["jitter"][0], filled["expires"][0], filled["ends"][0]):
        assert f'value="{value}"' in schedule_form.form(EN, shown, "UTC", [])
    assert ScheduleWish() == schedule_form.wish_of(filled, "UTC", shown)
    assert ScheduleWish(name="New") == schedule_form.wish_of(filled | {"called": ["New"]}, "UTC", shown)
    assert ScheduleWish(jitter_ms=500) == schedule_form.wish_of(filled | {"jitter": ["0.5"]}, "UTC", shown)


def test_an_end_moves_with_the_zone_on_whose_clock_it_was_typed() -> None:
    shown = schedule(ends_at_ms=1_893_459_600_000)
    filled = {name: [text] for name, text in schedule_form.texts_of(shown).items()}
    wish = schedule_form.wish_of(filled | {"zone": ["UTC"]}, "UTC", shown)
    assert ScheduleWish(zone="UTC", ends_at_ms=1_893_459_600_000 + 8 * 3_600_000) == wish
    assert ScheduleWish(ends_at_ms=0) == schedule_form.wish_of(filled | {"ends": [""]}, "UTC", shown)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("jitter", "-1"),
        ("jitter", "nan"),
        ("most", "1.5"),
        ("expires", "0"),
        ("jitter", "4000"),
        ("most", "x"),
        ("expires", "1e9"),
        ("ends", "soon"),
        ("ends", "10000-1"),
    ],
)
def test_what_is_no_number_and_no_time_is_refused(name: str, typed: str) -> None:
    with pytest.raises(InvalidRequest):
        schedule_form.wish_of({"due": ["30m"], name: [typed]}, "UTC")


def test_an_end_in_no_time_zone_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="time zone"):
        schedule_form.wish_of({"zone": ["Mars/Olympus"], "ends": ["2030-01-01T09:00"]}, "UTC")


def test_due_times_are_told_on_the_clock_that_is_meant() -> None:
    assert "Next (Asia/Shanghai): 2027-01-15 16:00 Fri" == seen(
        schedule_form.preview(EN, [NOW_MS], "Asia/Shanghai")
    )
    assert "08:00 周五" in schedule_form.preview(ZH, [NOW_MS], "UTC"), "a Chinese page said Fri"
    assert "Never due any more" in schedule_form.preview(EN, [], "UTC")


def test_every_sentence_stands_in_both_languages_with_the_same_blanks() -> None:
    for name, (zh, en) in SENTENCES.items():
        assert zh, name
        assert en, name
        assert set(re.findall(r"{\w+}", zh)) == set(re.findall(r"{\w+}", en)), name
    for waits in WaitingFor:
        assert f"waits.count.{waits}" in SENTENCES
