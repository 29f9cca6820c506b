"""Who may talk to the agent: those who asked, with their first words, and what was decided about the others."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from yizhan.model import AccountId, Rule
from yizhan.web.console import controls, people
from yizhan.web.console.frame import Fields, Frame, open_frame, watch_for
from yizhan.web.console.markup import join, tag

CALM_GAP_MS = 1_000


@ui.page("/people")
async def people_page(request: Request) -> None:
    await PeoplePage(open_frame(request, "people", "people")).open()


class PeoplePage:
    """Senders, those who wait for a decision first, a page at a time."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._first = 0

    async def open(self) -> None:
        frame, words = self._frame, self._frame.words
        gateway = frame.console.gateway
        self._watch = watch_for(frame)
        known = await gateway.store.accounts()
        accounts, access = [account.id for account in known], gateway.settings.access
        owners = {account.id: account.credentials.user_id for account in known}
        self._configured = people.Configured(access, gateway.settings.sources, owners)
        with frame.main:
            ui.html(join(words("people")), tag="h1")
            ui.html(people.policy(words, access))
            self._table = ui.html("")
            self._pager = ui.html("")
            if accounts:
                told = tag("summary", words("people.add"))
                ui.html(tag("details", told, people.allow_form(words, accounts), class_="panel"))
            if access.show_code:
                told = tag("summary", words("people.approve"))
                ui.html(tag("details", told, people.approve_form(words), class_="panel"))
            ui.html(people.configured_panel(words, self._configured))
        frame.on_click(
            {"older": self._older, "newer": self._newer, "allow": self._allow, "block": self._block}
        )
        frame.on_submit({"add": self._add, "approve": self._approve})
        await frame.attempt(self._refresh)
        frame.keep_true(self._watch, self._refresh, CALM_GAP_MS)

    async def _refresh(self) -> None:
        words = self._frame.words
        rules = people.in_order(await self._frame.console.gateway.store.rules(None))
        self._first = min(self._first, max(0, len(rules) - 1) // people.PAGE_ROWS * people.PAGE_ROWS)
        following = self._first + people.PAGE_ROWS
        self._table.set_content(people.people_table(words, rules[self._first : following], self._configured))
        self._pager.set_content(controls.pager(words, self._first > 0, following < len(rules)))

    async def _allow(self, about: str) -> None:
        await self._decide(about, Rule.ALLOW, "people.allowed")

    async def _block(self, about: str) -> None:
        await self._decide(about, Rule.BLOCK, "people.blocked")

    async def _decide(self, about: str, rule: Rule, told: str) -> None:
        account, _, sender = about.partition(" ")
        await self._frame.console.gateway.set_rule(AccountId(account), sender, rule)
        self._frame.tell(self._frame.words(told, who=sender))
        self._watch.notice()

    async def _add(self, fields: Fields) -> None:
        sender = "".join(fields.get("sender", ())).strip()[:400]
        if sender.isprintable() and sender:
            await self._decide(f"{''.join(fields.get('account', ()))} {sender}", Rule.ALLOW, "people.allowed")
            self._frame.clear_form("add")

    async def _approve(self, fields: Fields) -> None:
        allowed = await self._frame.console.gateway.approve("".join(fields.get("code", ()))[:40])
        self._frame.clear_form("approve")
        self._frame.tell(self._frame.words("people.allowed", who=allowed.sender_name or allowed.sender_id))
        self._watch.notice()

    async def _older(self, _: str) -> None:
        self._first += people.PAGE_ROWS
        self._watch.notice()

    async def _newer(self, _: str) -> None:
        self._first = max(0, self._first - people.PAGE_ROWS)
        self._watch.notice()
