"""What a send is: the room it means, its words, and what it answers. Read from the body, judged elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from yizhan_simulator.qq.people import Room, Scene, Seat
from yizhan_simulator.qq.state import Inbound, QqState, Visit
from yizhan_simulator.replies import text
from yizhan_simulator.state import Json

MARKDOWN, INPUT_NOTIFY, MEDIA = 2, 6, 7
KEYED = ("qq.send.c2c", "qq.send.group")
"""The sends that have a `msg_seq`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A send that found its room. `answers`: the msg_id or event_id; empty for an unasked message."""

    room: Room
    seat: Seat
    scene: Scene
    kind: int
    words: str
    answers: str
    is_event: bool
    seq: int
    key: str
    wakes: bool


def describe(visit: Visit) -> None:
    """What this send is about, for the ledger; also for sends that never take effect."""
    body, draft = visit.ex.body, visit.ex.draft
    draft.user_id = visit.parts[0]
    draft.text = _words(body)
    draft.token = text(body, "msg_id") or text(body, "event_id")
    draft.client_id = _key(visit.ex.call, body)


def wish_of(visit: Visit, room: Room, scene: Scene) -> Wish:
    body = visit.ex.body
    assert visit.bot is not None
    kind = body.get("msg_type")
    return Wish(
        room, room.seats[visit.bot.app_id], scene, kind if type(kind) is int else 0, visit.ex.draft.text,
        visit.ex.draft.token, not text(body, "msg_id"), _seq(body), visit.ex.draft.client_id,
        body.get("is_wakeup") is True,
    )  # fmt: skip


def _words(body: Json) -> str:
    markdown = body.get("markdown")
    return text(body, "content") or (text(markdown, "content") if isinstance(markdown, dict) else "")


def _seq(body: Json) -> int:
    seq = body.get("msg_seq")
    return seq if type(seq) is int else 1


def _key(call: str, body: Json) -> str:
    """What repeats are recognised by; empty for unasked messages and in guilds, which have nothing of the kind."""
    answers = text(body, "msg_id") or text(body, "event_id")
    return f"{answers}#{_seq(body)}" if answers and call in KEYED else ""


def answered(state: QqState, visit: Visit, wish: Wish) -> Inbound | None:
    """What the send answers, if it is known and of this room."""
    assert visit.bot is not None
    found = state.answerable(visit.bot.app_id).get(wish.answers)
    fits = found is not None and found.room_id == wish.room.room_id and found.is_event == wish.is_event
    return found if fits else None
