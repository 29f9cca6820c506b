"""The list of chats as one HTML table."""

from __future__ import annotations

from collections.abc import Sequence

from yizhan.model import Chat
from yizhan.web.console import links
from yizhan.web.console.markup import Html, join, moment, tag
from yizhan.web.console.words import Words

PAGE_ROWS = 50


def chat_table(words: Words, chats: Sequence[Chat]) -> Html:
    heads = [tag("th", words(name), scope="col") for name in ("chat", "account", "last_in", "last_out")]
    return tag(
        "table",
        tag("caption", words("chats"), class_="unseen"),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *(_row(words, chat) for chat in chats)),
        class_="chats",
    )


def _row(words: Words, chat: Chat) -> Html:
    return tag(
        "tr",
        tag("th", _name(words, chat), scope="row"),
        tag("td", tag("bdi", chat.account), data_label=words("account"), class_="id"),
        tag("td", _when(words, chat.last_inbound_at_ms), data_label=words("last_in")),
        tag("td", _when(words, chat.last_outbound_at_ms), data_label=words("last_out")),
        data_chat=str(chat.target),
    )


def _name(words: Words, chat: Chat) -> Html:
    return join(
        tag("a", tag("bdi", chat.title or chat.id), href=links.chat(chat.target)),
        tag("span", words.known(f"kind.{chat.kind}", chat.kind), class_="tag")
        if chat.kind not in ("", "direct")
        else None,
        tag("span", words("chat.paused"), class_="tag wait") if chat.paused else None,
        tag("bdi", chat.id, class_="id quiet") if chat.title and chat.title != chat.id else None,
    )


def _when(words: Words, at_ms: int | None) -> Html | str:
    return moment(at_ms, "ago") if at_ms else words("never")


def no_chats(words: Words) -> Html:
    return tag("div", tag("h2", words("chats.none")), tag("p", words("chats.none.how")), class_="empty")
