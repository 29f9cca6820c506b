"""What is in force, and the keys of programs."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from yizhan.web.console import settings_rows
from yizhan.web.console.frame import Fields, Frame, open_frame
from yizhan.web.console.markup import join, tag

NAME_MAX = 100


@ui.page("/settings")
async def settings_page(request: Request) -> None:
    await SettingsPage(open_frame(request, "settings", "settings")).open()


class SettingsPage:
    """Keys above, for they are what one comes for; settings below, to read."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        with frame.main:
            ui.html(join(words("settings")), tag="h1")
            with ui.element("section").classes("panel"):
                ui.html(join(tag("h2", words("keys")), tag("p", words("keys.how"), class_="quiet")))
                self._new = ui.html("").props("role=status")
                self._keys = ui.html("")
                ui.html(tag("details", tag("summary", words("keys.make")), settings_rows.key_form(words)))
            ui.html(settings_rows.webhooks_panel(words, frame.console.gateway.webhooks.all()))
            ui.html(settings_rows.settings_tables(words, frame.console.gateway.settings)).classes("panels")
        frame.on_click({"revoke": self._revoke})
        frame.on_submit({"key": self._make})
        await frame.attempt(self._refresh)

    async def _refresh(self) -> None:
        keys = await self._frame.console.keys.all()
        self._keys.set_content(settings_rows.key_table(self._frame.words, keys))

    async def _make(self, fields: Fields) -> None:
        name = " ".join("".join(fields.get("purpose", ())).split())[:NAME_MAX]
        scopes = frozenset(fields.get("scope", ())) & frozenset(settings_rows.SCOPES)
        if not name.isprintable() or not name or not scopes:
            self._frame.tell(self._frame.words("keys.needs"), "wait")
            return
        _, text = await self._frame.console.keys.add(name, scopes)
        self._new.set_content(settings_rows.new_key(self._frame.words, text))
        self._frame.clear_form("key")
        await self._refresh()

    async def _revoke(self, key: str) -> None:
        await self._frame.console.keys.revoke(key)
        self._frame.tell(self._frame.words("keys.revoked.done"))
        await self._refresh()
