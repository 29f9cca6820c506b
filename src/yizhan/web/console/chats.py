"""The list of chats as one HTML table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yizhan.model import Chat, Target
from yizhan.web.console import controls, links
from yizhan.web.console.markup import Html, join, moment, tag
from yizhan.web.console.words import Words

PAGE_ROWS = 50


def chat_list(words: Words, chats: Sequence[Chat], waiting: Callable[[Target], int], search: str) -> Html:
    """`waiting`: how many messages of a chat are to be sent; `search`: what was searched for, empty if nothing."""
    if not chats:
        return controls.empty(words("search.none")) if search else no_chats(words)
    heads = [words(name) for name in ("chat", "account", "last_in", "last_out")]
    return controls.table(
        words("chats"), heads, [_row(words, chat, waiting(chat.target)) for chat in chats], "chats"
    )


def _row(words: Words, chat: Chat, waiting: int) -> Html:
    return tag(
        "tr",
        tag("th", _name(words, chat, waiting), scope="row"),
        tag("td", tag("bdi", chat.account), data_label=words("account"), class_="id"),
        tag("td", _when(words, chat.last_inbound_at_ms), data_label=words("last_in")),
        tag("td", _when(words, chat.last_outbound_at_ms), data_label=words("last_out")),
        data_chat=str(chat.target),
    )


def _name(words: Words, chat: Chat, waiting: int) -> Html:
    return join(
        tag("a", tag("bdi", chat.title or chat.id), href=links.chat(chat.target)),
        tag("span", words.known(f"kind.{chat.kind}", chat.kind), class_="tag")
        if chat.kind not in ("", "direct")
        else None,
        tag("span", words("chat.taken"), class_="tag ours") if chat.taken_over_at_ms else None,
        tag("span", words("chat.paused"), class_="tag wait") if chat.paused else None,
        tag("span", words("chat.live", n=waiting), class_="tag wait") if waiting else None,
        tag("bdi", chat.id, class_="id quiet") if chat.title and chat.title != chat.id else None,
    )


def _when(words: Words, at_ms: int | None) -> Html | str:
    return moment(at_ms, "ago") if at_ms else words("never")


def no_chats(words: Words) -> Html:
    return controls.empty(words("chats.none"), words("chats.none.how"))
