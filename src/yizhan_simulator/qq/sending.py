"""Sends: the platform's checks in order, then a receipt and, mostly, a bubble.

1 does the target exist for this bot, 2 is the body well formed, 3 is it a repeat, 4 may this be said here (switches,
allowance of the message it answers, quotas of unasked messages, limits), 5 audit, 6 do people get to see it.

Source: bot.q.qq.com "message/overview" and the send pages of `autogen/api`, 2026; codes in `codes.py`.
"""

from __future__ import annotations

from yizhan_simulator.ledger import Effect, sha256_of
from yizhan_simulator.people import Bubble
from yizhan_simulator.qq import audit
from yizhan_simulator.qq.bodies import malformed
from yizhan_simulator.qq.events import index_of
from yizhan_simulator.qq.people import Scene
from yizhan_simulator.qq.permits import closed, not_now, online
from yizhan_simulator.qq.replies import headers, refuse, stamp
from yizhan_simulator.qq.state import QqState, Visit, keep
from yizhan_simulator.qq.wish import INPUT_NOTIFY, MEDIA, Wish, answered, describe, wish_of
from yizhan_simulator.state import Json, Told


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
    wish = wish_of(visit, room, scene)
    return (
        malformed(state, visit, wish)
        or _repeat(state, visit, wish)
        or closed(state, visit, wish)
        or not_now(state, visit, wish)
        or _accept(state, visit, wish)
    )


def _repeat(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    inbound = answered(state, visit, wish)
    if inbound is None or wish.scene in (Scene.CHANNEL, Scene.DM) or not state.knobs.seq_dedupe:
        return None
    before = inbound.seqs.get(wish.seq)
    if before is None:
        return None
    told = refuse(visit, "repeat", 40054005)
    receipt, digest = before
    visit.ex.draft.effect = Effect.REPEAT if digest == sha256_of(wish.words) else Effect.REPEAT_DIFFERS
    visit.ex.draft.receipt = receipt
    return told


def _accept(state: QqState, visit: Visit, wish: Wish) -> Told:
    receipt = state.message_id()
    _count(state, visit, wish, receipt)
    draft = visit.ex.draft
    draft.receipt = receipt
    if wish.kind == INPUT_NOTIFY:
        _type(state, visit, wish)
    elif _vanishes(state, visit):
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


def _type(state: QqState, visit: Visit, wish: Wish) -> None:
    visit.ex.draft.effect, visit.ex.draft.detail = Effect.ANSWERED, "typing"
    seconds = visit.ex.body["input_notify"].get("input_second")
    wish.seat.typing_until_ms = visit.ex.now_ms + (seconds if type(seconds) is int else 10) * 1000
    state.shared.changed()


def _vanishes(state: QqState, visit: Visit) -> bool:
    """Accepted, and nobody will ever see it."""
    struck = visit.ex.fault is not None and visit.ex.fault[1].kind == "ghost"
    return struck or (state.knobs.while_offline == "vanish" and not online(state, visit))


def _count(state: QqState, visit: Visit, wish: Wish, receipt: str) -> None:
    keep(state.own, receipt, wish.room)
    if (inbound := answered(state, visit, wish)) is None:
        return
    inbound.seqs[wish.seq] = receipt, sha256_of(wish.words)
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
