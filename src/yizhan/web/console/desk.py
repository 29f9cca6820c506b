"""Above and below a timeline: who answers this chat, what may still be sent there, and a place to answer by hand."""

from __future__ import annotations

from yizhan.model import Account, Chat, WaitingFor
from yizhan.runtime.views import ChatAllowanceView
from yizhan.web.console import controls, links, overview
from yizhan.web.console.markup import Html, join, moment, tag
from yizhan.web.console.words import Words


def head(
    words: Words, chat: Chat, account: Account, allowance: ChatAllowanceView | None, search: str
) -> Html:
    """`account`: as it stands now."""
    named = chat.title and chat.title != chat.id
    return join(
        tag(
            "div",
            tag("h1", tag("bdi", chat.title or chat.id)),
            _pause(words, chat),
            class_="title-line",
        ),
        tag(
            "p",
            overview.state_mark(words, account.state),
            tag("a", tag("bdi", chat.account), href=links.chats(chat.account)),
            tag("bdi", chat.id, class_="quiet") if named else None,
            tag("span", words("chat.paused"), class_="tag wait") if chat.paused else None,
            class_="about",
        ),
        tag("p", *_allowance(words, allowance), class_="about allowance") if allowance else None,
        tag("p", tag("strong", words("timeline.found", words=search)), class_="about") if search else None,
    )


def _pause(words: Words, chat: Chat) -> Html:
    if chat.paused:
        return controls.button("resume", words("chat.resume"), "small")
    return controls.button("pause", words("chat.pause"), "small")


def _allowance(words: Words, view: ChatAllowanceView) -> list[Html]:
    """How many more may go, and when the context ends; in the tone of what it means."""
    if view.waiting_for is WaitingFor.ALLOWANCE and view.left:
        return [tag("span", words("allowance.over"), class_="tone-wait")]
    if view.left == 0 or view.waiting_for is WaitingFor.ALLOWANCE:
        return [tag("span", words("allowance.used_up"), class_="tone-wait")]
    told = [tag("span", words("allowance.left", left=view.left))] if view.left is not None else []
    if view.until_ms is not None:
        told.append(
            tag("span", words("allowance.until"), " ", moment(view.until_ms, "until"), class_="nowrap quiet")
        )
    return told


def who_answers(words: Words, chat: Chat, agent: str) -> Html:
    """Who answers here, and the button that changes it. `agent`: the name of the one who does by default."""
    if chat.taken_over_at_ms is not None:
        told = tag("p", words("takeover.you"), " ", moment(chat.taken_over_at_ms), class_="who-answers ours")
        return join(told, controls.button("handback", words("takeover.back"), "small"))
    text = words("takeover.nobody") if agent == "none" else words("takeover.agent", agent=agent)
    told = tag("p", text, class_="who-answers quiet")
    return join(told, controls.button("takeover", words("takeover.do"), "small"))


def answer_form(words: Words) -> Html:
    label = tag("label", words("answer"), for_="in-text", class_="unseen")
    box = tag(
        "textarea", name="text", id="in-text", rows=2, class_="box", placeholder=words("answer"), dir="auto"
    )
    return controls.form(
        "answer", label, box, controls.submit(words("answer.send"), title=words("answer.hint"))
    )
