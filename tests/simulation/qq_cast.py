"""The bot on QQ in a voyage: people in chats and groups, and what the plan does to its line."""

from __future__ import annotations

import asyncio
from typing import assert_never

from simulation import plan as plans
from simulation.plan import Place, Plan, Qq
from simulation.plan_qq import QQ_HEALTHY
from simulation.station import SIM_URL, Station
from yizhan.model import AccountId, AccountState, Credentials
from yizhan_simulator.qq.side import QqSide

BOT = "bot"
BACK_S = 240
"""A connection that is dead on one side is found out within 2.25 heartbeats of at most two minutes, another one is
there after the longest wait between two attempts, a minute and a fifth, with a refused resume between."""


class QqCast:
    """`number` is the account's in the plan; `chats` are known to the gateway by these ids."""

    def __init__(self, station: Station, plan: Plan, told: Qq) -> None:
        self.number = len(plan.chats) - 1
        self.account: AccountId
        self.chats: list[str] = []
        self._station = station
        self._told = told
        self._said = 0

    @property
    def _qq(self) -> QqSide:
        return self._station.world.qq

    def _now_ms(self) -> int:
        return self._station.host.true_ms()

    async def set_out(self) -> None:
        world = self._station.world
        self.account = await self._station.link_qq(name=BOT)
        for chat, scene in enumerate(self._told.scenes):
            name = self._name(chat)
            world.add_user(name)
            if scene == "c2c":
                self._qq.room(BOT, name)
                self.chats.append(f"c2c/{self._qq.openid(BOT, name)}")
            elif scene == "dm":
                room = self._qq.room(BOT, name, "dm")
                self.chats.append(f"dm/{room.guild_id}")
            elif scene == "channel":
                world.add_user(f"{name} too")
                room = self._qq.add_channel(self._group(chat), (name, f"{name} too"), (BOT,))
                self.chats.append(f"channel/{room.room_id.partition(':')[2]}")
            else:
                world.add_user(f"{name} too")
                receive = "all" if self._told.everything else "mention"
                self._qq.add_group(self._group(chat), (name, f"{name} too"), (BOT,), receive)  # type: ignore[arg-type]
                self.chats.append(f"group/{self._qq.group_openid(BOT, self._group(chat))}")

    def say(self, chat: int, text: str) -> None:
        """Somebody writes to the bot; in groups it is one or the other, and they mention it."""
        if self._told.scenes[chat] == "c2c":
            self._qq.say(self._name(chat), text, self._now_ms())
            return
        if self._told.scenes[chat] == "dm":
            self._qq.say(self._name(chat), text, self._now_ms(), scene="dm")
            return
        self._said += 1
        who = self._name(chat) + " too" * (self._said % 2)
        self._qq.say(who, text, self._now_ms(), self._group(chat), at=True)

    def does(self, line: plans.Line) -> None:
        now_ms = self._now_ms()
        match line.act:
            case "close":
                self._qq.close(BOT, line.code, now_ms)
            case "mute":
                self._qq.mute(BOT, now_ms)
            case "reconnect":
                self._qq.ask_reconnect(BOT, now_ms)
            case "invalidate":
                self._qq.invalidate(BOT, now_ms, line.code)
            case "forget":
                self._qq.forget_sessions(BOT)
            case "expire access":
                self._qq.expire_tokens(BOT)
            case "spend":
                self._qq.spend_allowances(BOT)
            case _:
                assert_never(line.act)

    def switch(self, chat: int, on: bool) -> None:
        if self._told.scenes[chat] in ("channel", "dm"):  # there nobody can move it
            return
        to = "" if self._told.scenes[chat] == "c2c" else self._group(chat)
        self._qq.change(self._name(chat), BOT, "allow" if on else "forbid", self._now_ms(), to)

    def expire_windows(self) -> None:
        self._qq.expire_windows(BOT)

    def replay(self, count: int) -> None:
        self._qq.replay(BOT, count, self._now_ms())

    def heal(self) -> None:
        """The platform is well, and everybody lets the bot speak."""
        self._station.world.turn(qq=QQ_HEALTHY)
        for chat in range(len(self.chats)):
            self.switch(chat, True)

    async def is_back(self) -> bool:
        """Whether QQ hears the bot, and the gateway says so."""
        for view in await self._station.gateway.accounts():
            if view.account.id == self.account:
                return view.account.state is AccountState.UP and self._qq.online(BOT)
        return False

    async def heard_again(self) -> list[str]:
        """Waits for that; a finding where it does not happen."""
        for _ in range(BACK_S):
            if await self.is_back():
                return []
            await asyncio.sleep(1)
        return [f"{self.account} is not connected {BACK_S} s after all was well"]

    @property
    def credentials(self) -> Credentials:
        return Credentials(self._qq.bot(BOT).secret, SIM_URL, token_url=SIM_URL)

    def place_of(self, chat: str) -> Place:
        return self.number, self.chats.index(chat)

    def _name(self, chat: int) -> str:
        return f"user {self.number}/{chat}"

    def _group(self, chat: int) -> str:
        return f"group {chat}"
