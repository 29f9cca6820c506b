"""What tests and operators arrange in the simulated QQ, and see of it: broken connections, lost sessions, spent
permissions, what was shown."""

from __future__ import annotations

from collections.abc import Callable

from yizhan_simulator.ledger import Record
from yizhan_simulator.people import Bubble
from yizhan_simulator.qq import dispatch, ends, routes
from yizhan_simulator.qq.residents import Residents
from yizhan_simulator.qq.socket import Socket


class Troubles(Residents):
    """Befalls those who are there."""

    def lines(self, bot: str = "") -> list[Socket]:
        """Connections that the server believes in, oldest first; of one bot, those that have identified."""
        app_id = self.bot(bot).app_id if bot else ""
        return [socket for socket in self.state.sockets.values() if socket.app_id == app_id or not bot]

    def online(self, bot: str) -> bool:
        """Has the bot a connection that is ready and alive, for each of its shards?"""
        shards = [shard for socket in self.lines(bot) if socket.live and (shard := self._shard(socket))]
        return bool(shards) and {number for number, _ in shards} >= set(range(max(of for _, of in shards)))

    def _shard(self, socket: Socket) -> tuple[int, int] | None:
        session = self.state.sessions.get(socket.session_id)
        return session.shard if session is not None else None

    def close(self, bot: str, code: int, now_ms: int, reason: str = "", shard: int | None = None) -> int:
        """The server closes the bot's connections, or those of one shard; says how many."""

        def drop(socket: Socket) -> None:
            ends.drop(self.state, socket, code, now_ms, reason)

        return self._each(bot, now_ms, drop, shard)

    def mute(self, bot: str, now_ms: int, shard: int | None = None) -> int:
        """The bot's connections, or those of one shard, become half-open, for ever; says how many."""
        return self._each(bot, now_ms, lambda socket: ends.mute(self.state, socket, now_ms), shard)

    def ask_reconnect(self, bot: str, now_ms: int) -> int:
        """Op 7."""
        return self._each(bot, now_ms, lambda socket: ends.reconnect(self.state, socket))

    def invalidate(self, bot: str, now_ms: int, code: int = 0) -> int:
        """Op 9, and with a code the close after it."""
        return self._each(bot, now_ms, lambda socket: ends.invalidate(self.state, socket, code, now_ms))

    def _each(self, bot: str, now_ms: int, act: Callable[[Socket], None], shard: int | None = None) -> int:
        self.state.shared.advance(now_ms)
        found = [socket for socket in self.lines(bot) if socket.live]
        if shard is not None:
            found = [socket for socket in found if (self._shard(socket) or (None,))[0] == shard]
        for socket in found:
            act(socket)
        return len(found)

    def forget_sessions(self, bot: str) -> int:
        """No session of the bot can be resumed from now on; those that are connected live on until they end."""
        app_id = self.bot(bot).app_id
        doomed = [each for each in self.state.sessions.values() if each.app_id == app_id]
        for each in doomed:
            each.forgotten = True
            if each.socket is None:
                del self.state.sessions[each.session_id]
        return len(doomed)

    def replay(self, bot: str, count: int, now_ms: int) -> int:
        """The last `count` events once more, with new numbers and the same ids; says how many went out."""
        self.state.shared.advance(now_ms)
        return dispatch.again(self.state, self.bot(bot), count, now_ms)

    def expire_tokens(self, bot: str) -> int:
        """Access tokens die before their time; says how many."""
        found = self.bot(bot)
        count, found.tokens = len(found.tokens), []
        return count

    def expire_windows(self, bot: str) -> int:
        """No message so far can be answered any more; says how many could."""
        found = self.state.answerable(self.bot(bot).app_id).values()
        open_ones = [each for each in found if not each.expired]
        for each in open_ones:
            each.expired = True
        return len(open_ones)

    def spend_allowances(self, bot: str) -> int:
        """Every message so far has been answered as often as it may be; says how many."""
        found = self.state.answerable(self.bot(bot).app_id).values()
        for each in found:
            each.replies = 1 << 30
        return len(found)

    def shown(self, to: str, user: str = "") -> list[Bubble]:
        """What bots have said in a room, in order; `to` as for `say`."""
        return [bubble for bubble in self.room(to, user).bubbles if bubble.from_bot]

    def sends(self, bot: str = "", openid: str = "") -> list[Record]:
        """The ledger's records of sends."""
        app_id = self.bot(bot).app_id if bot else ""
        return [
            record
            for record in self.state.shared.ledger
            if record.call in routes.SENDS
            and app_id in ("", record.bot_id)
            and openid in ("", record.user_id)
        ]
