"""Webhooks as HTML: where events are posted to, whether they are taken, and what became of the last posts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from yizhan.core.contract import EVENT_TYPES
from yizhan.errors import InvalidRequest
from yizhan.model import AccountId, Post, Reason, Webhook
from yizhan.runtime.views import WebhookWish
from yizhan.runtime.webhooks import TEST
from yizhan.web.console import controls, links
from yizhan.web.console.markup import Html, moment, tag
from yizhan.web.console.words import Words
from yizhan.web.hooks import Url

_URL: TypeAdapter[str] = TypeAdapter(Url)
TONES = {"active": "good", "failing": "bad", "paused": "calm"}
WITH_TEXT = "message.received"
POSTS_SHOWN = 50


def shown_url(url: str) -> str:
    """The address without what may be a password in it; none is taken any more, old ones may have one."""
    name, at, host = urlsplit(url).netloc.rpartition("@")
    return url.replace(f"{name}{at}{host}", host, 1) if at else url


def state_of(hook: Webhook) -> str:
    return "paused" if hook.paused else "failing" if hook.failures else "active"


def mark(words: Words, hook: Webhook) -> Html:
    state = state_of(hook)
    dot = tag("span", class_="dot", aria_hidden="true")
    return tag("span", dot, words(f"webhooks.{state}"), class_=f"state {TONES[state]}")


def webhook_table(words: Words, hooks: Sequence[Webhook]) -> Html:
    if not hooks:
        return controls.empty(words("webhooks.none"), words("webhooks.none.how"))
    heads = [words("webhooks.where"), words("filter.state"), words("webhooks.what"), words("acts")]
    return controls.table(words("webhooks"), heads, [_row(words, hook) for hook in hooks], "webhooks")


def _row(words: Words, hook: Webhook) -> Html:
    return tag(
        "tr",
        tag(
            "th",
            tag("a", tag("bdi", shown_url(hook.url)), href=links.webhook(hook.id)),
            tag("bdi", hook.account, class_="quiet id") if hook.account else None,
            scope="row",
            class_="what",
        ),
        tag("td", tag("div", mark(words, hook), *_trouble(words, hook)), class_="fate"),
        tag("td", _types(words, hook), data_label=words("webhooks.what"), class_="value id"),
        tag("td", controls.buttons(*acts_on(words, hook))),
        data_webhook=hook.id,
        data_state=state_of(hook),
    )


def _types(words: Words, hook: Webhook) -> str:
    named = ", ".join(sorted(hook.types)) or words("webhooks.all")
    return named + words("webhooks.with_text") if hook.private else named


def _trouble(words: Words, hook: Webhook) -> list[Html]:
    """Why the last post was not taken, since when, and when it is tried again."""
    if not hook.failures or hook.reason is None:
        return []
    told = [tag("span", why(words, hook.reason), class_="because quiet")]
    if hook.failing_since_ms is not None:
        told.append(tag("span", words("since"), " ", moment(hook.failing_since_ms), class_="quiet nowrap"))
    if hook.next_attempt_at_ms is not None and not hook.paused:
        told.append(
            tag("span", words("next"), " ", moment(hook.next_attempt_at_ms, "until"), class_="nowrap")
        )
    return told


def acts_on(words: Words, hook: Webhook) -> list[Html]:
    switch = "resume" if hook.paused else "pause"
    sure = words("webhooks.remove.sure", url=shown_url(hook.url))
    return [
        controls.button("test", words("webhooks.test"), "small", data_about=hook.id),
        controls.button(switch, words(f"webhooks.{switch}"), "small", data_about=hook.id),
        controls.button(
            "remove", words("webhooks.remove"), "small danger", data_about=hook.id, data_confirm=sure
        ),
    ]


# one webhook


def facts(words: Words, hook: Webhook, newest: int) -> Html:
    """How far it has come. `newest`: the last event that there is."""
    last = hook.last_success_at_ms
    behind = max(0, newest - hook.cursor)
    told = [
        (words("filter.state"), mark(words, hook)),
        (words("webhooks.what"), _types(words, hook)),
        (words("filter.account"), hook.account or words("filter.account.all")),
        (words("webhooks.last"), moment(last, "ago") if last else words("never")),
        (words("webhooks.behind"), words("webhooks.waiting", n=behind) if behind else words("webhooks.up")),
    ]
    if hook.missed:
        told.append((words("webhooks.missed"), str(hook.missed)))
    made = [tag("div", tag("dt", name), tag("dd", value)) for name, value in told]
    trouble = _trouble(words, hook)
    return tag(
        "section",
        tag("dl", *made, class_="facts"),
        tag("p", *trouble, class_="about tone-bad") if trouble else None,
        class_="panel",
    )


def post_table(words: Words, posts: Sequence[Post]) -> Html:
    if not posts:
        return tag("p", words("webhooks.posts.none"), class_="quiet")
    heads = [words("webhooks.post.when"), words("webhooks.post.event"), words("webhooks.post.fate")]
    return controls.table(words("webhooks.posts"), heads, [_post(words, post) for post in posts], "posts")


def _post(words: Words, post: Post) -> Html:
    number = None if post.type == TEST else tag("span", f"#{post.event}", class_="quiet id")
    return tag(
        "tr",
        tag("th", moment(post.at_ms), scope="row"),
        tag("td", tag("code", post.type), number),
        tag("td", tag("div", *fate(words, post)), class_="fate"),
        data_event=post.event,
    )


def fate(words: Words, post: Post) -> list[Html]:
    """Taken, or not and why; and how long the answer took."""
    took = words("webhooks.took", n=post.took_ms)
    if post.reason is None:
        told = words("webhooks.taken", status=post.status)
        return [tag("span", told, class_="mark good"), tag("span", took, class_="quiet")]
    return [
        tag("span", words("webhooks.not_taken"), class_="mark bad"),
        tag("span", why(words, post.reason), class_="because"),
        tag("span", took, class_="quiet"),
    ]


def why(words: Words, reason: Reason) -> str:
    """What an address answers is not repeated; without an answer, what stood in the way is said."""
    status = reason.code.removeprefix("http-")
    if status != reason.code:
        return words("webhooks.status", status=status)
    return f"{words.reason(reason)} ({reason.text})"


# forms


def webhook_form(words: Words, accounts: Sequence[AccountId]) -> Html:
    known = [("", words("filter.account.all")), *((account, account) for account in accounts)]
    types = [controls.check("type", name, name) for name in EVENT_TYPES if name != WITH_TEXT]
    return controls.form(
        "webhook",
        controls.field(
            "address",
            words("webhooks.url"),
            type="url",
            required=True,
            maxlength=2048,
            placeholder="https://example.com/yizhan",
        ),
        controls.choice("account", words("filter.account"), known, ""),
        tag("fieldset", tag("legend", words("webhooks.types")), *types),
        controls.check("private", "yes", words("webhooks.private"), words("webhooks.private.means")),
        controls.buttons(controls.submit(words("webhooks.add"))),
    )


def wish_of(fields: Mapping[str, Sequence[str]]) -> tuple[str, WebhookWish]:
    """Address and wish from the form. Raises InvalidRequest."""
    private = bool(fields.get("private"))
    types = frozenset(fields.get("type", ())) & frozenset(EVENT_TYPES)
    wish = WebhookWish(
        types=types | {WITH_TEXT} if types and private else types,
        private=private,
        account=AccountId("".join(fields.get("account", ()))),
    )
    try:
        return _URL.validate_python("".join(fields.get("address", ())).strip()), wish
    except ValidationError:
        raise InvalidRequest("That is no address.", "Write it as https://host/path.") from None


def replay_form(words: Words) -> Html:
    return controls.form(
        "replay",
        tag("p", words("webhooks.replay.how"), class_="quiet"),
        controls.field("behind", words("webhooks.after"), inputmode="numeric", pattern="#?[0-9]{1,18}"),
        controls.buttons(
            controls.submit(words("webhooks.replay"), "", data_confirm=words("webhooks.replay.sure"))
        ),
    )


def after_of(fields: Mapping[str, Sequence[str]]) -> int:
    """The event behind which it goes on; 0: the oldest that is kept. Raises InvalidRequest."""
    typed = "".join(fields.get("behind", ())).strip().removeprefix("#")
    if typed and not (typed.isascii() and typed.isdigit() and len(typed) <= 18):
        raise InvalidRequest("That is no event.", "Give its number, or nothing for all that are kept.")
    return int(typed or 0)


def new_secret(words: Words, secret: str) -> Html:
    """The secret that signs the posts, this once. It stands nowhere else."""
    text = tag("code", secret, class_="key-text")
    return tag("div", tag("p", words("webhooks.secret")), text, class_="banner good")
