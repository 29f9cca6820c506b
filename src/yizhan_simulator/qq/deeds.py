"""What people do in the simulated QQ: write, press buttons, move the switches of a bot."""

from __future__ import annotations

from typing import Literal

from yizhan_simulator.people import SimError
from yizhan_simulator.phone import Attachment
from yizhan_simulator.qq import dispatch, events, phone
from yizhan_simulator.qq.phone import Change
from yizhan_simulator.qq.residents import Residents
from yizhan_simulator.qq.socket import Json


class Deeds(Residents):
    """Of those who are there."""

    def say(
        self,
        user: str,
        text: str,
        now_ms: int,
        to: str = "",
        *,
        scene: Literal["", "c2c", "dm"] = "",
        at: bool | tuple[str, ...] = False,
        items: tuple[Attachment, ...] = (),
        quote_id: str = "",
    ) -> str:
        """The user writes to a bot, a group or a channel (`to`: id or name; empty: the only bot there is).

        at   True mentions every bot in the room, or names say which
        Gives the message's id. Raises: SimError.
        """
        self.state.shared.advance(now_ms)
        room = self.room(to or self._only_bot(), user, scene)
        wanted = list(room.seats) if at is True else [self.bot(each).app_id for each in at or ()]
        return phone.say(self.state, room, self._user(user), text, tuple(wanted), items, quote_id, now_ms)

    def _only_bot(self) -> str:
        bots = list(self.state.register.bots)
        if len(bots) != 1:
            raise SimError(f"say to whom: {', '.join(bots) or 'there is no QQ bot'}")
        return bots[0]

    def change(self, user: str, bot: str, what: Change, now_ms: int, to: str = "") -> str:
        """The user changes how the bot sits in a group (`to`), or in their chat: add, remove, allow or forbid
        unasked messages, receive all or receive mentions, mute, unmute. Gives the id of the event, if there is one.
        """
        self.state.shared.advance(now_ms)
        found, room = self.bot(bot), self.room(to or bot, user)
        if what != "add" and found.app_id not in room.seats:
            raise SimError(f"{found.name!r} was never in {room.name!r}")
        return phone.change(self.state, found, room, self._user(user), what, now_ms)

    def press(self, user: str, bot: str, button: str, payload: str, now_ms: int, to: str = "") -> str:
        """A button below a message; gives the interaction's id."""
        self.state.shared.advance(now_ms)
        return phone.press(
            self.state, self.bot(bot), self.room(to or bot, user), self._user(user), button, payload, now_ms
        )

    def emit(self, bot: str, kind: str, body: Json, now_ms: int) -> str:
        """Any event, as it is given: for those that no act of a person makes here (recalls, reactions, members).
        Gives the event's id."""
        self.state.shared.advance(now_ms)
        return dispatch.dispatch(self.state, self.bot(bot), events.make(kind, body), now_ms)
