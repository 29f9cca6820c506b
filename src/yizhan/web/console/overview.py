"""The overview as HTML: what is true of each account, who must act, what is held back and what waits."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.model import Account, AccountState, ChatId, Message, MessageState, Reason, Target
from yizhan.runtime.views import AccountView, AllowanceView, GateView, Readiness
from yizhan.web.console import advice, links
from yizhan.web.console.markup import Html, join, moment, tag
from yizhan.web.console.words import Words

GATES_SHOWN = 5

URGENCY = {
    AccountState.LOGIN_NEEDED: 0,
    AccountState.BARRED: 0,
    AccountState.DOWN: 1,
    AccountState.DEGRADED: 2,
    AccountState.STARTING: 3,
    AccountState.PAUSED: 4,
    AccountState.STANDBY: 5,
    AccountState.UP: 6,
}
"""State → place in the list: those that need a person come first."""

TONES = {
    AccountState.UP: "good",
    AccountState.STARTING: "calm",
    AccountState.DEGRADED: "wait",
    AccountState.DOWN: "bad",
    AccountState.LOGIN_NEEDED: "bad",
    AccountState.BARRED: "bad",
    AccountState.PAUSED: "calm",
    AccountState.STANDBY: "calm",
}

_AGAIN = frozenset({AccountState.STARTING, AccountState.DEGRADED, AccountState.DOWN})
"""States that end by another try of ours …"""
_AGAIN_SLOWLY = frozenset({AccountState.LOGIN_NEEDED, AccountState.BARRED})
"""… and those in which a try finds out that a person has acted."""


def by_urgency(views: Sequence[AccountView]) -> list[AccountView]:
    return sorted(views, key=lambda view: (URGENCY[view.account.state], view.account.id))


def summary(words: Words, views: Sequence[AccountView]) -> Html:
    """One line that answers "is everything well?"."""
    urgency = [URGENCY[view.account.state] for view in views]
    people, down = urgency.count(0), urgency.count(1) + urgency.count(2)
    live = sum(sum(view.live.values()) for view in views)
    told = []
    if people:
        told.append(tag("span", words("summary.people", n=people), class_="tone-bad"))
    if down:
        told.append(tag("span", words("summary.down", n=down), class_="tone-wait"))
    if views and all(view.account.state is AccountState.UP for view in views):
        told.append(tag("span", words("summary.good"), class_="tone-good"))
    if live:
        told.append(tag("span", words("summary.live", n=live)))
    return tag("p", *told, class_="summary") if told else Html("")


def trouble(words: Words, ready: Readiness, nobody_answers: bool) -> Html:
    """What is wrong with the gateway itself, or nothing."""
    told = [
        tag(
            "p",
            tag("strong", words("not_ready")),
            " ",
            _reason(words, reason),
            class_="banner bad",
            role="alert",
        )
        for reason in ready.reasons
    ]
    if nobody_answers:
        told.append(tag("p", words("nobody"), class_="banner calm"))
    return join(*told)


def _reason(words: Words, reason: Reason) -> str:
    return words.known(f"reason.{reason.code}", reason.text)


def no_accounts(words: Words) -> Html:
    command = tag("code", "yizhan login weixin")
    before, _, after = words("accounts.none.how", command="\0").partition("\0")
    return tag("div", tag("h2", words("accounts.none")), tag("p", before, command, after), class_="empty")


def account_card(words: Words, view: AccountView, now_ms: int, oldest: Message | None = None) -> Html:
    """`oldest`: the message of the account that has waited longest, as it stands now."""
    account = view.account
    return tag(
        "article",
        tag(
            "header",
            tag("h2", tag("span", account.platform, class_="platform"), tag("bdi", account.external_id)),
            state_mark(words, account.state),
            class_="card-head",
        ),
        tag(
            "p",
            words(f"state.{account.state}.means"),
            tag("span", words("since"), " ", moment(account.since_ms), class_="quiet nowrap"),
            class_="means",
        ),
        tag("dl", *_facts(words, view, now_ms), class_="facts"),
        _oldest(words, oldest),
        _gates(words, view, now_ms),
        tag("p", tag("a", words("account.chats"), href=links.chats(account.id)), class_="card-foot"),
        class_=f"card tone-edge-{TONES[account.state]}",
        data_account=account.id,
        data_state=account.state.value,
    )


def state_mark(words: Words, state: AccountState) -> Html:
    """The state as a word in its colour."""
    return tag(
        "span",
        tag("span", class_="dot", aria_hidden="true"),
        words(f"state.{state}"),
        class_=f"state {TONES[state]}",
    )


def _facts(words: Words, view: AccountView, now_ms: int) -> list[Html]:
    account = view.account
    last = account.last_server_answer_at_ms
    told = [_fact(words("last_answer"), moment(last, "ago") if last else words("never"))]
    if account.state in _AGAIN or (account.state in _AGAIN_SLOWLY and account.next_attempt_at_ms):
        told.append(_fact(words("next_attempt"), _next_attempt(words, view, now_ms)))
    told.append(_fact(words("who"), _who(words, account)))
    if account.reason and account.state is not AccountState.UP:
        told.append(_fact(words("why"), words.reason(account.reason)))
    told.append(_fact(words("waits"), _waits(words, view)))
    if view.allowance is not None:
        told.append(_fact(words("allowance"), _allowance(words, view.allowance)))
    return told


def _allowance(words: Words, allowance: AllowanceView) -> str:
    """What each message of the other side permits."""
    if allowance.sends is None:
        return words("allowance.free")
    told = words("allowance.sends", n=allowance.sends)
    if allowance.window_ms is not None:
        told += words("allowance.within", window=words.span(allowance.window_ms))
    return told + words("allowance.learned") if allowance.learned else told


def _oldest(words: Words, oldest: Message | None) -> Html | None:
    """Which message has waited longest, where, since when, and for what."""
    if oldest is None:
        return None
    told = [
        tag("strong", words("oldest.to")),
        tag("a", tag("bdi", oldest.chat), href=links.chat(oldest.target)),
        moment(oldest.created_at_ms, "ago"),
        tag("span", words(oldest.state.value), class_="quiet"),
    ]
    if oldest.waiting_for is not None:
        told.append(tag("span", words(f"for.{oldest.waiting_for}"), class_="tone-wait"))
    if oldest.next_attempt_at_ms is not None:
        told.append(
            tag("span", words("next"), " ", moment(oldest.next_attempt_at_ms, "until"), class_="nowrap")
        )
    return tag("p", *told, class_="oldest")


def _fact(name: str, value: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", value))


def _next_attempt(words: Words, view: AccountView, now_ms: int) -> Html | str:
    """The account's own next try, or that of the host behind which it waits."""
    hosts = [gate.ready_at_ms for gate in view.gates if gate.scope == "host"]
    due = [at_ms for at_ms in (view.account.next_attempt_at_ms, *hosts) if at_ms and at_ms > now_ms]
    return moment(max(due), "until") if due else words("trying")


def _who(words: Words, account: Account) -> Html:
    """Who must act, and what to do. The platform's own advice follows where it says more than ours."""
    before, separator, after = words(f"state.{account.state}.who", way="\0").partition("\0")
    told = join(before, _way(words, account) if separator else None, after)
    if account.action and not _plain_login(account):
        text, language = advice.told(words.language, account.action)
        told = join(told, tag("span", text, class_="action", lang=language))
    return told


def _way(words: Words, account: Account) -> Html:
    """To the page on which it is done."""
    name = "accounts.again" if account.state is AccountState.LOGIN_NEEDED else "accounts.resume"
    return tag("a", words(name), href=links.ACCOUNTS)


def _plain_login(account: Account) -> bool:
    """A login that is simply over; our own words say all there is to do."""
    taken_over = account.reason is not None and account.reason.code == "linked-elsewhere"
    return account.state is AccountState.LOGIN_NEEDED and not taken_over


def _waits(words: Words, view: AccountView) -> Html | str:
    counts = {
        state.value: view.live.get(state, 0)
        for state in (MessageState.WAITING, MessageState.QUEUED, MessageState.SENDING)
    }
    if not any(counts.values()):
        return words("waits.none")
    told = words("waits.counts", **counts)
    why = [words(f"waits.count.{waits}", n=n) for waits, n in view.waits_for.items()]
    return join(told, *(tag("span", each, class_="quiet") for each in why))


def _gates(words: Words, view: AccountView, now_ms: int) -> Html | None:
    if not view.gates:
        return None
    shown = [_gate(words, view.account, gate, now_ms) for gate in view.gates[:GATES_SHOWN]]
    if len(view.gates) > GATES_SHOWN:
        shown.append(tag("li", words("gate.more", n=len(view.gates) - GATES_SHOWN)))
    return tag("section", tag("h3", words("gates")), tag("ul", *shown), class_="gates")


def _gate(words: Words, account: Account, gate: GateView, now_ms: int) -> Html:
    next_ms = gate.ready_at_ms
    return tag(
        "li",
        _gate_name(words, account, gate),
        tag("span", words("gate.refusals", n=gate.refusals), class_="quiet") if _refused(gate) else None,
        tag("span", _learned(words, gate), class_="quiet") if gate.fits else None,
        tag(
            "span",
            words("next_attempt"),
            " ",
            moment(next_ms, "until") if next_ms > now_ms else words("now"),
            class_="quiet nowrap",
        ),
    )


def _learned(words: Words, gate: GateView) -> str:
    name = "limit.spaced" if gate.fits == 1 else "limit.learned"
    return words(name, n=gate.fits, per=words.span(gate.per_ms))


def _refused(gate: GateView) -> bool:
    """The account's gate is shut by refusals or by lost answers; only the first counts refusals."""
    return gate.scope != "host" and gate.refusals > 0 and gate.reason.startswith("refused")


def _gate_name(words: Words, account: Account, gate: GateView) -> Html:
    if gate.scope == "chat":
        name = "gate.ghosts" if gate.ghosts else "gate.chat"
        link = tag("a", tag("bdi", gate.subject), href=links.chat(Target(account.id, ChatId(gate.subject))))
        before, _, after = words(name, subject="\0", n=gate.ghosts).partition("\0")
        return tag("span", before, link, after)
    if gate.scope == "account":
        return tag("span", words("gate.account" if _refused(gate) else "gate.answers"))
    return tag("span", words("gate.host", subject=gate.subject))
