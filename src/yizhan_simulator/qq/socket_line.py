"""One WebSocket of the simulated QQ, as its driver sees it: frames in, what waits out, the end."""

from __future__ import annotations

from yizhan_simulator.qq import ends, session
from yizhan_simulator.qq.socket import Outgoing, Socket
from yizhan_simulator.qq.state import QqState


class SocketLine:
    """One WebSocket, without a network. `muted`: half-open. `ended`: nothing will come out after what waits."""

    def __init__(self, state: QqState, socket: Socket) -> None:
        self._state = state
        self.socket = socket
        self.key = socket.key

    @property
    def muted(self) -> bool:
        return self.socket.muted

    @property
    def ended(self) -> bool:
        return self.socket.ended

    def deliver(self, text: str, now_ms: int) -> None:
        """A frame from the client. Never raises for what is in it."""
        self._state.shared.advance(now_ms)
        session.received(self._state, self.socket, text, now_ms)

    def take(self) -> list[Outgoing]:
        """What waits for the client, in order; taken out."""
        return self.socket.take()

    def hang_up(self, now_ms: int) -> None:
        """The client is gone, with or without a close frame."""
        self._state.shared.advance(now_ms)
        ends.left(self._state, self.socket, now_ms)
