"""Sends: the platform's checks in order, then a receipt and, mostly, a bubble.

1 does the target exist for this bot, 2 is the body well formed, 3 is it a repeat, 4 may this be said here (switches,
allowance of the message it answers, quotas of unasked messages, limits), 5 audit, 6 do people get to see it.

Source: bot.q.qq.com "message/overview" and the send pages of `autogen/api`, 2026; codes in `codes.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from yizhan_simulator.ledger import Effect, sha256_of
from yizhan_simulator.people import Bubble
from yizhan_simulator.qq import audit
from yizhan_simulator.qq.events import index_of
from yizhan_simulator.qq.people import Room, Scene, Seat
from yizhan_simulator.qq.replies import headers, refuse, stamp
from yizhan_simulator.qq.state import Inbound, QqState, Visit
from yizhan_simulator.replies import text
from yizhan_simulator.state import Json, Told

MARKDOWN, INPUT_NOTIFY, MEDIA = 2, 6, 7
_URL = re.compile(r"(?i)\b(?:https?://|www\.)\S|\b[a-z0-9-]+\.(?:com|cn|net|org|io|dev|ai|top|xyz)\b")
_LINK = re.compile(r"\]\([^)]*\)")
WAKEUP_PERIODS_S = (86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400)
"""One wake-up in each of these periods after the person last wrote."""


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
    draft.client_id = _key(body)


def c2c(state: QqState, visit: Visit) -> Told:
    return _send(state, visit, Scene.C2C)


def group(state: QqState, visit: Visit) -> Told:
    return _send(state, visit, Scene.GROUP)


def channel(state: QqState, visit: Visit) -> Told:
    return _send(state, visit, Scene.CHANNEL)


def direct(state: QqState, visit: Visit) -> Told:
    return _send(state, visit, Scene.DM)


def _send(state: QqState, visit: Visit, scene: Scene) -> Told:
    describe(visit)
    assert visit.bot is not None
    room = state.register.index.get((visit.bot.app_id, scene, visit.parts[0]))
    if room is None:
        return refuse(visit, "unknown target", 11255)
    wish = _wish(visit, room, scene)
    return (
        _malformed(state, visit, wish)
        or _repeat(state, visit, wish)
        or _closed(state, visit, wish)
        or _not_now(state, visit, wish)
        or _accept(state, visit, wish)
    )


def _wish(visit: Visit, room: Room, scene: Scene) -> Wish:
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


def _key(body: Json) -> str:
    """What repeats are recognised by; empty for unasked messages, which have nothing of the kind."""
    answers = text(body, "msg_id") or text(body, "event_id")
    return f"{answers}#{_seq(body)}" if answers else ""


# 2. The body.


def _malformed(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    if not _fits(visit.ex.body, wish):
        return refuse(visit, "type and content", 22006 if wish.scene in (Scene.C2C, Scene.GROUP) else 50006)
    if len(wish.words) > state.knobs.text_max:
        return refuse(visit, "text too long", 40054007)
    if wish.kind == MARKDOWN and not state.knobs.markdown:
        return refuse(visit, "markdown", 40034124)
    spared = (
        _LINK.sub("]", wish.words) if wish.kind == MARKDOWN and state.knobs.markdown_links else wish.words
    )
    if state.knobs.urls == "refuse" and _URL.search(spared):
        return refuse(visit, "url", 40034028 if wish.scene in (Scene.C2C, Scene.GROUP) else 304003)
    if wish.kind == MEDIA and not _media_is_ours(state, visit, wish):
        return refuse(visit, "file_info", 304080)
    return None


def _fits(body: Json, wish: Wish) -> bool:
    """Nulls and unknown keys are ignored: qq-botpy sends both."""
    if wish.scene in (Scene.CHANNEL, Scene.DM):
        return any(body.get(name) for name in ("content", "embed", "ark", "image", "markdown"))
    match wish.kind:
        case 0:
            return bool(text(body, "content").strip()) and not body.get("markdown")
        case 2:
            return isinstance(body.get("markdown"), dict) and not text(body, "content").strip()
        case 3 | 4:
            return isinstance(body.get("ark" if wish.kind == 3 else "embed"), dict)
        case 6:
            notify = body.get("input_notify")
            return wish.scene is Scene.C2C and isinstance(notify, dict) and bool(wish.answers)
        case 7:
            return isinstance(body.get("media"), dict)
        case _:
            return False


def _media_is_ours(state: QqState, visit: Visit, wish: Wish) -> bool:
    """An upload for a person cannot be sent to a group, nor to somebody else."""
    info = text(visit.ex.body["media"], "file_info")
    return state.uploads.get(info) == (wish.scene.value, visit.parts[0])


# 3. Repeats.


def _repeat(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    inbound = _answered(state, visit, wish)
    if inbound is None or wish.scene in (Scene.CHANNEL, Scene.DM) or not state.knobs.seq_dedupe:
        return None
    before = inbound.seqs.get(wish.seq)
    if before is None:
        return None
    told = refuse(visit, "repeat", 40054005)
    receipt, _, digest = before.partition(" ")
    visit.ex.draft.effect = Effect.REPEAT if digest == sha256_of(wish.words) else Effect.REPEAT_DIFFERS
    visit.ex.draft.receipt = receipt
    return told


def _answered(state: QqState, visit: Visit, wish: Wish) -> Inbound | None:
    """What the send answers, if it is known and of this room."""
    assert visit.bot is not None
    found = state.answerable(visit.bot.app_id).get(wish.answers)
    fits = found is not None and found.room_id == wish.room.room_id and found.is_event == wish.is_event
    return found if fits else None


# 4. May it be said here.


def _closed(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    visit.ex.draft.token_state = "passive" if wish.answers else "wakeup" if wish.wakes else "proactive"
    if not wish.seat.present:
        return refuse(visit, "left", 40034101 if wish.scene is Scene.GROUP else 40054004)
    if wish.seat.muted_until_ms > visit.ex.now_ms:
        return refuse(visit, "muted", 40054002)
    if state.knobs.while_offline == "refuse" and not _online(state, visit):
        return refuse(visit, "offline", 304018)
    if wish.answers:
        return _not_answerable(state, visit, wish)
    return _not_wakeable(visit, wish) if wish.wakes else _not_proactive(state, visit, wish)


def _online(state: QqState, visit: Visit) -> bool:
    assert visit.bot is not None
    return bool(visit.bot.webhook_url) or state.online(visit.bot.app_id)


def _not_answerable(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    inbound = _answered(state, visit, wish)
    if inbound is None:
        return refuse(visit, "unknown id", 40034025 if wish.is_event else 40034024)
    window_s, replies = _allowance(state, wish.scene)
    if inbound.expired or visit.ex.now_ms - inbound.at_ms > window_s * 1000:
        return refuse(visit, "window", 40034026 if wish.is_event else 40034005)
    counts = wish.kind != INPUT_NOTIFY or state.knobs.typing_counts
    if replies and counts and inbound.replies >= replies:
        return refuse(visit, "allowance", 40034128)
    return None


def _allowance(state: QqState, scene: Scene) -> tuple[float, int]:
    """Window in seconds, and replies per message (0: any number)."""
    knobs = state.knobs
    return {
        Scene.C2C: (knobs.c2c_window_s, knobs.c2c_replies),
        Scene.GROUP: (knobs.group_window_s, knobs.group_replies),
        Scene.CHANNEL: (knobs.channel_window_s, knobs.channel_replies),
        Scene.DM: (knobs.dm_window_s, knobs.dm_replies),
    }[scene]


def _not_wakeable(visit: Visit, wish: Wish) -> Told | None:
    if wish.scene is not Scene.C2C:
        return refuse(visit, "wake-up", 40034123)
    last_ms = wish.seat.last_inbound_ms
    since_s = (visit.ex.now_ms - last_ms) / 1000 if last_ms is not None else 1e9
    period = next((place for place, end_s in enumerate(WAKEUP_PERIODS_S) if since_s < end_s), None)
    if period is None or period in wish.seat.woken:
        return refuse(visit, "wake-up", 40034122)
    wish.seat.woken.add(period)
    return None


def _not_proactive(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    if not wish.seat.proactive:
        return refuse(visit, "switch", 40034105)
    return None


def _not_now(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    """Limits of the script, then the quotas of unasked messages; what passes is counted."""
    assert visit.bot is not None
    app_id, now_ms = visit.bot.app_id, visit.ex.now_ms
    every = [state.shared.limits]
    if not wish.answers and not wish.wakes:
        every.append(state.quotas(wish.scene))
    for limits in every:
        if (denied := limits.ask(app_id, wish.room.room_id, now_ms)) is not None:
            return refuse(visit, denied[0], denied[1].rule.code)
    return None


# 5 and 6. Accepted.


def _accept(state: QqState, visit: Visit, wish: Wish) -> Told:
    receipt = state.message_id()
    _count(state, visit, wish, receipt)
    draft = visit.ex.draft
    draft.receipt = receipt
    fault = visit.ex.fault[1] if visit.ex.fault else None
    if wish.kind == INPUT_NOTIFY:
        draft.effect, draft.detail = Effect.ANSWERED, "typing"
        seconds = visit.ex.body["input_notify"].get("input_second")
        wish.seat.typing_until_ms = visit.ex.now_ms + (seconds if type(seconds) is int else 10) * 1000
        state.shared.changed()
    elif (fault and fault.kind == "ghost") or (
        state.knobs.while_offline == "vanish" and not _online(state, visit)
    ):
        draft.effect = Effect.DROPPED
    else:
        bubble = _bubble(state, visit, wish, receipt)
        if state.knobs.audit != "off":
            draft.receipt = ""
            return audit.wait(state, visit, wish.room, bubble)
        draft.effect = Effect.SHOWN
        wish.seat.typing_until_ms = 0
        state.show(wish.room, bubble)
    return Told(_receipt(state, visit, wish, receipt), headers=headers(visit))


def _count(state: QqState, visit: Visit, wish: Wish, receipt: str) -> None:
    state.own[receipt] = wish.room
    if (inbound := _answered(state, visit, wish)) is None:
        return
    inbound.seqs[wish.seq] = f"{receipt} {sha256_of(wish.words)}"
    if wish.kind != INPUT_NOTIFY or state.knobs.typing_counts:
        inbound.replies += 1


def _bubble(state: QqState, visit: Visit, wish: Wish, receipt: str) -> Bubble:
    assert visit.bot is not None
    kind, name = ("file", "media") if wish.kind == MEDIA else ("text", "")
    words = wish.words or {3: "[ark]", 4: "[embed]"}.get(wish.kind, "")
    return Bubble(
        state.shared.next_bubble(), visit.ex.now_ms, True, kind, words, receipt, wish.key, name,
        author=visit.bot.name,
    )  # fmt: skip


def _receipt(state: QqState, visit: Visit, wish: Wish, receipt: str) -> Json:
    now_ms = visit.ex.now_ms
    if wish.scene in (Scene.C2C, Scene.GROUP):
        if state.knobs.reply_shape == "2023":
            return {"id": receipt, "timestamp": now_ms // 1000}
        return {"id": receipt, "timestamp": stamp(now_ms), "ext_info": {"ref_idx": index_of(receipt)}}
    assert visit.bot is not None
    wish.room.said += 1
    author = {"id": visit.bot.user_id, "username": visit.bot.name, "avatar": "", "bot": True}
    return {
        "id": receipt, "guild_id": wish.room.guild_id, "channel_id": wish.room.room_id.rpartition(":")[2],
        "author": author, "content": wish.words, "timestamp": stamp(now_ms), "seq": wish.room.said,
        "seq_in_channel": str(wish.room.said), "type": 0, "tts": False, "mention_everyone": False, "pinned": False,
    }  # fmt: skip
