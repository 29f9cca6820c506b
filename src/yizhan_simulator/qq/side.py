"""The simulated QQ as one value, `world.qq`: requests and sockets come in, people act, time passes in the world.

    reply = world.handle(SimRequest.of("POST", url, headers, body), now_ms)      HTTP, as for WeChat
    line = world.qq.connect(SimRequest.of("GET", "ws://sim.test/websocket", {}), now_ms)
    line.deliver('{"op":2,"d":{…}}', now_ms)        a frame from the client
    line.take()                                     [Text(text), HangUp(code, reason) …] for the client, in order
    line.hang_up(now_ms)                            the client is gone

`world.listen` hears `line.key` whenever something waits to be taken. No socket, clock or chance of its own.
"""

from __future__ import annotations

from yizhan_simulator.answering import reply
from yizhan_simulator.qq import desk, ends, routes, session, webhook
from yizhan_simulator.qq.deeds import Deeds
from yizhan_simulator.qq.posting import Posting
from yizhan_simulator.qq.socket_line import SocketLine
from yizhan_simulator.qq.troubles import Troubles
from yizhan_simulator.wire import SimReply, SimRequest

__all__ = ["QqSide", "SocketLine"]


class QqSide(Deeds, Troubles):
    """Who is there stands in residents.py, what they do in deeds.py, what befalls them in troubles.py."""

    # What the line brings.

    def knows(self, request: SimRequest) -> bool:
        return routes.found(request.method, request.path) is not None

    def handle(self, request: SimRequest, now_ms: int) -> SimReply:
        """Answers one request. Raises nothing for what a client sends; `knows` it must be."""
        visit, body = desk.visit_of(request, now_ms)
        if (early := desk.early(self.state, visit)) is not None:
            return early
        return reply(self.state.shared, visit.ex, desk.told(self.state, visit, body is None))

    def connect(self, request: SimRequest, now_ms: int) -> SocketLine | SimReply:
        """A WebSocket is asked for; a reply instead of a line means that there is none."""
        self.state.shared.advance(now_ms)
        visit, _ = desk.visit_of(request, now_ms)
        if (early := desk.early(self.state, visit)) is not None:
            return early
        self.state.shared.ledger.note(now_ms, routes.SOCKET, visit.ex.draft)
        return SocketLine(self.state, session.opened(self.state, now_ms))

    def weather_moved(self, now_ms: int) -> None:
        """An outage begins or ends: what is open breaks, or goes quiet for ever."""
        outage = self.state.shared.weather.outage_at(now_ms)
        for socket in list(self.state.sockets.values()) if outage else []:
            if outage is not None and outage.kind == "hang":
                ends.mute(self.state, socket, now_ms)
            else:
                ends.drop(self.state, socket, 1006, now_ms)

    # Webhook.

    def validate_webhook(self, bot: str, now_ms: int) -> int:
        """The console checks the address (op 13)."""
        self.state.shared.advance(now_ms)
        return webhook.validate(self.state, self.bot(bot), now_ms)

    def postings(self) -> list[Posting]:
        """Requests for the driver to make, taken out; `world.listen` hears `postings` when there are some."""
        taken = list(self.state.postings.values())
        self.state.postings.clear()
        return taken

    def posted(self, posting: Posting, status: int | None, body: bytes, now_ms: int) -> None:
        """What came back for one; `status` None: no answer."""
        self.state.shared.advance(now_ms)
        webhook.answered(self.state, posting, status, body, now_ms)
