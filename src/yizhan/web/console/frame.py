"""What every page has: the head, the line at the top, the banner, and a way to stay true."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from nicegui import Client, background_tasks, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments
from starlette.requests import Request

from yizhan.errors import RequestError, StoreError
from yizhan.model import Target
from yizhan.web.console import complaints, links
from yizhan.web.console.feed import GAP_MS, Watch, follow
from yizhan.web.console.house import STATIC, Console, console_of
from yizhan.web.console.markup import Html, join, tag
from yizhan.web.console.words import LANGUAGES, Words, language_of

log = structlog.get_logger("console")

LANGUAGE_COOKIE = "yizhan_language"
THEME_COOKIE = "yizhan_theme"
THEMES = ("auto", "light", "dark")
RETRY_MS = 2_000
"""When a page that could not read looks again."""

ON_CLICK = "(event) => window.yizhan.click(event, emit)"
ON_SUBMIT = "(event) => window.yizhan.submit(event, emit)"
ON_TYPE = "(event) => window.yizhan.typed(event, emit)"
"""What a click or a sent form asks for, is read in static/console.js, which also asks "are you sure?"."""
ABOUT_MAX = 20_000
"""Characters of what an act is about: a key, or the ids of the chosen rows."""

Act = Callable[[str], Awaitable[None]]
Fields = Mapping[str, Sequence[str]]
"""A form as it was sent: name → what was typed or chosen."""
Take = Callable[[Fields], Awaitable[None]]


def _version() -> str:
    """Changes whenever our static files do, so that a browser never keeps old ones."""
    return str(max(int(file.stat().st_mtime) for file in STATIC.iterdir()))


class Rows:
    """Keyed rows of HTML in a container; showing the same rows again costs nothing."""

    def __init__(self, container: Element, row_tag: str = "div") -> None:
        self._container = container
        self._tag = row_tag
        self._shown: dict[str, ui.html] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._shown

    def __len__(self) -> int:
        return len(self._shown)

    def show(self, rows: Sequence[tuple[str, Html]]) -> None:
        """These rows, in this order, and no others. Keys are unique."""
        wanted = {key for key, _ in rows}
        for key in [key for key in self._shown if key not in wanted]:
            self._shown.pop(key).delete()
        for place, (key, content) in enumerate(rows):
            self._put(place, key, content)

    def _put(self, place: int, key: str, content: Html) -> None:
        element = self._shown.get(key)
        if element is None:
            with self._container:
                element = self._shown[key] = ui.html(content, tag=self._tag)
        elif element.content != content:
            element.set_content(content)
        children = self._container.default_slot.children
        if children[place] is not element:
            element.move(target_index=place)


@dataclass(frozen=True, slots=True)
class Frame:
    """A page being shown: its house, its language, and where it puts things."""

    console: Console
    words: Words
    client: Client
    banner: ui.html
    result: ui.html
    main: Element

    def now_ms(self) -> int:
        return self.console.gateway.clock.now_ms()

    def keep_true(
        self, watch: Watch, refresh: Callable[[], Awaitable[int | None]], gap_ms: int = GAP_MS
    ) -> None:
        """Refreshes the page on news for as long as somebody looks at it."""
        clock = self.console.gateway.clock
        following = follow(watch, clock, lambda: self.attempt(refresh), gap_ms)
        task = background_tasks.create(following, name="console page")
        self.client.on_delete(task.cancel)

    async def attempt(self, refresh: Callable[[], Awaitable[int | None]]) -> int | None:
        """One refresh. What goes wrong is said on the page, which tries again; it never just stops."""
        try:
            again_ms = await refresh()
        except StoreError:
            self._say("stale")
            return RETRY_MS
        except Exception as error:
            log.error("page.broke", error=repr(error), exc_info=error)
            self._say("broke")
            return RETRY_MS
        self.banner.set_content("")
        return again_ms

    def _say(self, name: str) -> None:
        self.banner.set_content(tag("p", self.words(name), class_="banner wait", role="status"))

    def on_click(self, acts: Mapping[str, Act]) -> None:
        """Buttons with `data-do` ask for an act by its name; those with `data-open` for the act `open`."""

        async def act(event: GenericEventArguments) -> None:
            name, about, number = event.args
            if (chosen := acts.get(str(name))) is not None:
                await self._carry_out(chosen(str(about)[:ABOUT_MAX]))
            self._done(number)

        self.main.on("click", act, js_handler=ON_CLICK)

    def on_submit(self, takes: Mapping[str, Take]) -> None:
        """Forms with `data-do` are taken by that name."""

        async def take(event: GenericEventArguments) -> None:
            name, fields, number = event.args
            if (chosen := takes.get(str(name))) is not None:
                await self._carry_out(chosen(_typed(fields)))
            self._done(number)

        self.main.on("submit", take, js_handler=ON_SUBMIT)

    def on_type(self, takes: Mapping[str, Take]) -> None:
        """Forms with `data-types` are shown to these while somebody types, by their names."""

        async def take(event: GenericEventArguments) -> None:
            name, fields = event.args
            if (chosen := takes.get(str(name))) is not None:
                await self._carry_out(chosen(_typed(fields)))

        self.main.on("input", take, js_handler=ON_TYPE)

    async def _carry_out(self, act: Awaitable[None]) -> None:
        """An act that a person asked for. What became of it is said, also if nothing did."""
        try:
            await act
        except RequestError as error:
            self.tell(*self.complaint(error))
        except StoreError:
            self.tell(self.words("not_stored"), "bad")
        except Exception as error:
            log.error("page.broke", error=repr(error), exc_info=error)
            self.tell(self.words("act.broke"), "bad")

    def _done(self, number: object) -> None:
        """The button or form that asked may be used again."""
        self.client.run_javascript(f"window.yizhan.done({json.dumps(number)})")

    def complaint(self, error: RequestError) -> tuple[str, str, str]:
        """What is wrong and what to change, in the reader's language where it is known; its tone; its tag."""
        (detail, one), (fix, other) = (
            complaints.told(self.words.language, text) for text in (error.detail, error.fix)
        )
        gap = "" if one == other == "zh" else " "
        return f"{detail}{gap}{fix}".strip(), "bad", LANGUAGES[one if one == other else "en"]

    def tell(self, text: str, tone: str = "good", lang: str | None = None) -> None:
        """Says what became of an act; screen readers hear it too. The same words again are news again."""
        told = tag("p", text, class_=f"result {tone}", lang=lang, data_at=self.now_ms())
        self.result.set_content(told)

    def fill(self, place: str, content: Html) -> None:
        """Puts HTML into the element with this id, which the page does not draw anew."""
        self.client.run_javascript(f"window.yizhan.fill({json.dumps(place)}, {json.dumps(content)})")

    def go(self, link: str) -> None:
        """On to another page of the console, relative to this one."""
        self.client.run_javascript(f"location.assign({json.dumps(link)})")

    def clear_form(self, form: str) -> None:
        """Empties the form with this id, for what comes next."""
        self.client.run_javascript(f"document.getElementById('{form}')?.reset()")


def _typed(fields: object) -> Fields:
    """What a browser says that a form holds."""
    given = fields if isinstance(fields, dict) else {}
    return {str(name): list(map(str, values)) for name, values in given.items()}


def open_frame(request: Request, title: str, here: str) -> Frame:
    """Draws the head and the line at the top. `title` and `here` are names of words; `here` marks the way."""
    console = console_of(request)
    words = Words(
        language_of(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))
    )
    theme = request.cookies.get(THEME_COOKIE, "auto")
    theme = theme if theme in THEMES else "auto"
    ui.page_title(f"{words(title)} · {words('brand')}")
    ui.add_head_html(_head(words, theme, console.gateway.clock.now_ms()))
    ui.html(_top(words, theme, here), tag="header").classes("top")
    with ui.element("div").classes("page").props("id=main tabindex=-1") as main:
        banner = ui.html("")
    result = ui.html("").classes("results").props("role=status aria-live=polite")
    return Frame(console, words, ui.context.client, banner, result, main)


def _head(words: Words, theme: str, now_ms: int) -> Html:
    told = {
        "lang": words.tag,
        "theme": theme,
        "now": now_ms,
        "lost": words("lost"),
        "retry": words("lost.retry"),
        "sure": words("sure"),
        "back": words("sure.not"),
        "chosen": words("chosen", n="%"),
    }
    facts = "".join(f' data-{name}="{value}"' for name, value in told.items())
    version = _version()
    return Html(
        f'<script src="static/early.js?v={version}"{facts} data-soon="{words("now")}"></script>'
        f'<link rel="stylesheet" href="static/console.css?v={version}">'
        f'<script defer src="static/console.js?v={version}"></script>'
        '<meta name="referrer" content="no-referrer">'
    )


def _top(words: Words, theme: str, here: str) -> Html:
    ways = (
        ("overview", links.OVERVIEW),
        ("chats", links.chats()),
        ("turns", links.TURNS),
        ("outbox", links.OUTBOX),
        ("accounts", links.ACCOUNTS),
        ("people", links.PEOPLE),
        ("schedules", links.SCHEDULES),
        ("settings", links.SETTINGS),
    )
    return join(
        tag("a", words("skip"), href="#main", class_="skip"),
        tag(
            "a",
            tag("span", "驿", class_="seal", aria_hidden="true"),
            tag("span", words("brand"), class_="brand-name"),
            href=links.OVERVIEW,
            class_="brand",
            aria_label=words("brand"),
        ),
        tag(
            "nav",
            *(
                tag("a", words(name), href=to, aria_current="page" if name == here else None)
                for name, to in ways
            ),
            aria_label=words("ways"),
        ),
        tag("div", _language_switch(words), _theme_switch(words, theme), class_="switches"),
    )


def _language_switch(words: Words) -> Html:
    other = "en" if words.language == "zh" else "zh"
    name = {"zh": "中文", "en": "English"}[other]
    return tag(
        "button", name, type="button", lang=LANGUAGES[other], data_cookie=LANGUAGE_COOKIE, data_value=other
    )


def _theme_switch(words: Words, theme: str) -> Html:
    following = THEMES[(THEMES.index(theme) + 1) % len(THEMES)]
    return tag(
        "button",
        words(f"theme.{theme}"),
        type="button",
        title=words("theme"),
        aria_label=f"{words('theme')}: {words(f'theme.{theme}')}",
        data_cookie=THEME_COOKIE,
        data_value=following,
    )


def watch_for(frame: Frame, target: Target | None = None) -> Watch:
    return frame.console.feed.watch(target, frame.client.on_delete)
