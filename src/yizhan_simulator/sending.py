"""sendmessage: the checks in the platform's order, then a receipt and, mostly, a bubble.

1 who may send, 2 is the request well formed, 3 seen before, 4 may this conversation be written to (token,
window, quota, limits), 5 does the user get to see it.
"""

from __future__ import annotations

from collections.abc import Iterable

from yizhan_simulator.ledger import Effect, sha256_of
from yizhan_simulator.people import USER_ID, Acceptance, Bubble, Conversation, User
from yizhan_simulator.phone import ITEM_NAMES
from yizhan_simulator.replies import INVALID, MALFORMED, receipt, refuse, text
from yizhan_simulator.state import Exchange, Json, Outcome, State, Told

_CARDS = (11, 12)
_MARKS = ("from_user_id", "client_id", "message_type")


def sendmessage(state: State, ex: Exchange) -> Outcome:
    msg = _message(ex)
    items = msg.get("item_list")
    describe(ex)
    refused = _malformed(state, ex, msg, items)
    if refused is not None:
        return refused
    assert ex.bot is not None
    assert isinstance(items, list)
    chat = state.people.conversation(ex.bot.bot_id, ex.draft.user_id)
    return (
        _repeat(state, ex, chat) or _closed(state, ex, chat, msg) or _accept(state, ex, chat, msg, items[0])
    )


def _message(ex: Exchange) -> Json:
    found = ex.body.get("msg")
    return found if isinstance(found, dict) else {}


def describe(ex: Exchange) -> None:
    """Writes into the ledger's draft what this send is about; also for sends that never take effect."""
    msg, draft = _message(ex), ex.draft
    items = msg.get("item_list")
    draft.user_id = text(msg, "to_user_id")
    draft.client_id = text(msg, "client_id")
    draft.token = text(msg, "context_token")
    if isinstance(items, list) and items and isinstance(items[0], dict):
        body = items[0].get("text_item")
        draft.text = text(body, "text") if isinstance(body, dict) else ""


def _malformed(state: State, ex: Exchange, msg: Json, items: object) -> Told | None:
    """Source: wording and codes as captured for missing and malformed recipients (cc2wechat notes, August 2026);
    two items: Tencent/openclaw-weixin PR #282; 16 384 bytes: weilink 0.6.2.
    """
    if not ex.draft.user_id:
        return refuse(state, ex, "no recipient", INVALID)
    if not USER_ID.fullmatch(ex.draft.user_id):
        return refuse(state, ex, "malformed recipient", MALFORMED)
    if msg.get("message_type", 2) != 2 or msg.get("message_state", 2) not in (0, 1, 2):
        return refuse(state, ex, "wrong enum", MALFORMED)
    if not isinstance(items, list) or len(items) != 1 or not _is_item(items[0]):
        return refuse(state, ex, "not one item", INVALID)
    if len(ex.draft.text.encode("utf-8", "surrogatepass")) > state.knobs.text_max_bytes:
        return refuse(state, ex, "text too long", INVALID)
    return None


def _is_item(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    if not isinstance(kind, int):
        return False
    if kind == 1:
        body = item.get("text_item")
        return isinstance(body, dict) and isinstance(body.get("text"), str) and bool(body["text"])
    return kind in _CARDS or (kind in ITEM_NAMES and isinstance(item.get(f"{ITEM_NAMES[kind]}_item"), dict))


def _repeat(state: State, ex: Exchange, chat: Conversation) -> Told | None:
    if not state.knobs.client_id_dedupe or not ex.draft.client_id:
        return None
    before = chat.accepted.get(ex.draft.client_id)
    if before is None:
        return None
    same = before.text_sha256 == sha256_of(ex.draft.text)
    ex.draft.effect = Effect.REPEAT if same else Effect.REPEAT_DIFFERS
    ex.draft.receipt = str(before.receipt) if before.receipt else ""
    return Told(receipt(state.knobs, before.receipt) if before.receipt else {"ret": 0})


def _closed(state: State, ex: Exchange, chat: Conversation, msg: Json) -> Told | None:
    """Refused for token, window, quota or a limit; None counts the send."""
    knobs, now_ms = state.knobs, ex.now_ms
    ex.draft.token_state = _token_state(state, chat, ex.draft.token, now_ms)
    if chat.last_inbound_ms is None and knobs.needs_inbound:
        return refuse(state, ex, "no conversation", knobs.refusal)
    if _token_refused(state, ex.draft.token_state):
        return refuse(state, ex, "stale", knobs.stale_refusal)
    last_ms = chat.last_inbound_ms if chat.last_inbound_ms is not None else now_ms
    if knobs.window_s and now_ms - last_ms > knobs.window_s * 1000:
        return refuse(state, ex, "window", knobs.refusal)
    if knobs.quota_per_inbound and chat.sends_since_inbound >= knobs.quota_per_inbound:
        return refuse(state, ex, "quota", knobs.refusal)
    denied = state.limits.ask(chat.bot_id, chat.user_id, now_ms)
    if denied is None:
        return None
    name, denial = denied
    wait_ms = max(1, denial.ready_at_ms - now_ms)
    return refuse(state, ex, name, denial.rule.refusal, denial.rule.hint, wait_ms)


def _token_state(state: State, chat: Conversation, token: str, now_ms: int) -> str:
    if not token:
        return "absent"
    issued_ms = chat.tokens.get(token)
    if issued_ms is None:
        return "unknown"
    if token in chat.expired:
        return "expired"
    ttl_ms = state.knobs.token_ttl_s * 1000
    if ttl_ms and now_ms - issued_ms > ttl_ms:
        return "old"
    return "fresh" if token == next(reversed(chat.tokens)) else "known"


def _token_refused(state: State, token_state: str) -> bool:
    strict = state.knobs.token_check == "strict"
    if token_state == "absent":
        return state.knobs.tokenless == "refuse" or (strict and state.knobs.tokenless == "auto")
    return token_state == "expired" or (strict and token_state in ("unknown", "old"))


def _accept(state: State, ex: Exchange, chat: Conversation, msg: Json, item: Json) -> Told:
    knobs, draft = state.knobs, ex.draft
    chat.sends_since_inbound += 1
    chat.typing_until_ms = 0
    user = state.people.users.get(chat.user_id)
    # Requests that leave these out were answered 200 and never shown (clowder-ai, March 2026).
    silent = _listed(knobs.silent_drop, user) or any(mark not in msg for mark in _MARKS)
    message_id = state.new_message_id()
    _remember(chat, draft.client_id, Acceptance(0 if silent else message_id, sha256_of(draft.text)))
    draft.receipt = "" if silent else str(message_id)
    if silent or _listed(knobs.drop_with_id, user) or not _renders(item):
        draft.effect = Effect.DROPPED
    else:
        _display(state, ex, chat, item, message_id, user)
    return Told({"ret": 0} if silent else receipt(knobs, message_id))


def _remember(chat: Conversation, client_id: str, acceptance: Acceptance) -> None:
    if client_id:
        chat.accepted[client_id] = acceptance


def _listed(names: Iterable[str], user: User | None) -> bool:
    return any(name == "*" or (user is not None and name in user.names) for name in names)


def _renders(item: Json) -> bool:
    """Voice is accepted and not shown (Tencent/openclaw-weixin #91, #209); tool cards show nowhere today."""
    return item["type"] != 3 and item["type"] not in _CARDS


def _display(
    state: State, ex: Exchange, chat: Conversation, item: Json, message_id: int, user: User | None
) -> None:
    late_s = _late_s(state, user)
    at_ms = ex.now_ms + round(late_s * 1000)
    if late_s <= 0:
        ex.draft.effect = Effect.SHOWN
        state.show(chat, _bubble(state, ex.now_ms, ex.draft.client_id, item, message_id))
        return
    # Together: whatever is accepted while a batch waits appears with it.
    chat.late_until_ms = chat.late_until_ms if chat.late_until_ms > ex.now_ms else at_ms
    ex.draft.effect = Effect.DELAYED
    client_id = ex.draft.client_id
    state.later(
        chat.late_until_ms,
        lambda due_ms: state.show(chat, _bubble(state, due_ms, client_id, item, message_id)),
    )


def _late_s(state: State, user: User | None) -> float:
    for name, late_s in state.knobs.delay_batch.items():
        if _listed((name,), user):
            return late_s
    return 0


def _bubble(state: State, at_ms: int, client_id: str, item: Json, message_id: int) -> Bubble:
    number = state.next_bubble()
    if item["type"] == 1:
        return Bubble(number, at_ms, True, "text", item["text_item"]["text"], str(message_id), client_id)
    kind = ITEM_NAMES[item["type"]]
    body = item[f"{kind}_item"]
    media = body.get("media") if isinstance(body.get("media"), dict) else {}
    size = body.get("len") or body.get("mid_size") or body.get("video_size") or 0
    size = int(size) if str(size).isdecimal() and len(str(size)) <= 15 else 0
    link = f"{text(media, 'encrypt_query_param')} {text(media, 'aes_key')}"
    name = text(body, "file_name") or kind
    return Bubble(number, at_ms, True, kind, "", str(message_id), client_id, name, size, "", link)
