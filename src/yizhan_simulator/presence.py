"""The small calls: typing ticket, typing, online, offline, and the permission to upload."""

from __future__ import annotations

import re

from yizhan_simulator.cdn import Blob, ciphertext_size
from yizhan_simulator.knobs import Refusal
from yizhan_simulator.ledger import Effect
from yizhan_simulator.polling import base_url
from yizhan_simulator.replies import INVALID, refuse, text
from yizhan_simulator.state import Exchange, Json, Outcome, State, Told

_NO_USER = Refusal(ret=-2, errmsg="ilink_user_id required")
_NO_CHAT = Refusal(ret=-4, errmsg="GetTypingTicket rpc failed")
_UNREACHABLE = Refusal(ret=-1, errmsg=None)
_HEX32 = re.compile(r"[0-9a-fA-F]{32}")


def getconfig(state: State, ex: Exchange) -> Outcome:
    """Source: -2 and -4 as in Tencent/openclaw-weixin #268; `ret: 0` is explicit, which the official client needs."""
    assert ex.bot is not None
    user_id = ex.draft.user_id = text(ex.body, "ilink_user_id")
    if not user_id:
        return refuse(state, ex, "no user", _NO_USER)
    chat = state.people.conversations.get((ex.bot.bot_id, user_id))
    if chat is None or chat.last_inbound_ms is None:
        return refuse(state, ex, "no conversation", _NO_CHAT)
    ticket = state.people.base64_of("AARTBK8F", 448)
    chat.tickets.append(ticket)
    return Told({"ret": 0, "typing_ticket": ticket})


def sendtyping(state: State, ex: Exchange) -> Outcome:
    """1 shows the indicator for a while, 2 takes it away. Costs no quota."""
    assert ex.bot is not None
    user_id = ex.draft.user_id = text(ex.body, "ilink_user_id")
    if not user_id:
        return refuse(state, ex, "no user", _NO_USER)
    chat = state.people.conversations.get((ex.bot.bot_id, user_id))
    status = ex.body.get("status")
    if chat is None or text(ex.body, "typing_ticket") not in chat.tickets or status not in (1, 2):
        return refuse(state, ex, "unknown ticket", INVALID)
    chat.typing_until_ms = ex.now_ms + state.knobs.typing_fade_ms if status == 1 else 0
    ex.draft.detail = "typing" if status == 1 else "stopped"
    state.changed()
    return Told({"ret": 0})


def notifystart(state: State, ex: Exchange) -> Outcome:
    return _online(state, ex, True)


def notifystop(state: State, ex: Exchange) -> Outcome:
    return _online(state, ex, False)


def _online(state: State, ex: Exchange, online: bool) -> Told:
    assert ex.bot is not None
    ex.bot.online = online
    state.changed()
    return Told({"ret": 0})


def getuploadurl(state: State, ex: Exchange) -> Outcome:
    """Source: @tencent-weixin/openclaw-weixin 2.4.9, src/cdn/upload.ts; voice refused with 2 since March 2026."""
    body = ex.body
    ex.draft.user_id = text(body, "to_user_id")
    if not _consistent(body):
        return refuse(state, ex, "inconsistent upload", INVALID)
    if ex.draft.user_id not in state.people.users:
        return refuse(state, ex, "unknown recipient", _UNREACHABLE)
    param = state.people.base64_of("AAFE", 96)
    filekey = text(body, "filekey")
    state.cdn.permit(param, filekey, body["filesize"])
    task = f"{state.rng.getrandbits(64):016x}"
    link = (
        f"{base_url(ex)}/c2c/upload?encrypted_query_param={_escaped(param)}&filekey={filekey}&taskid={task}"
    )
    mode = state.knobs.media_urls
    answer: Json = {"ret": 0, "thumb_upload_param": ""}
    answer |= {"upload_param": param} if mode != "full" else {}
    answer |= {"upload_full_url": link} if mode != "param" else {}
    return Told(answer)


def _consistent(body: Json) -> bool:
    raw, sealed = body.get("rawsize"), body.get("filesize")
    sizes = isinstance(raw, int) and isinstance(sealed, int) and raw >= 0 and sealed == ciphertext_size(raw)
    keys = all(_HEX32.fullmatch(text(body, name)) for name in ("filekey", "rawfilemd5", "aeskey"))
    return sizes and keys and body.get("media_type") in (1, 2, 3, 4)


def _escaped(param: str) -> str:
    return param.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


def cdn_upload(state: State, ex: Exchange) -> Outcome:
    """200 with an empty body; the parameter for downloads is a header. Source: cc2wechat fixtures."""
    query = ex.request.query
    ticket = state.cdn.tickets.get(query.get("encrypted_query_param", ""))
    if ex.request.method != "POST":
        return _cdn_refusal(ex, 404, "-5102001", "not found")
    if ticket is None or ticket.filekey != query.get("filekey"):
        return _cdn_refusal(ex, 500, "-5102008", "filekey mismatch between request and decrypted params")
    if len(ex.request.body) != ticket.size:
        return _cdn_refusal(
            ex, 400, "-5102008", f"body is {len(ex.request.body)} bytes, announced {ticket.size}"
        )
    param = state.people.base64_of("AAFF", 128)
    state.cdn.keep(param, Blob(ex.request.body))
    ex.draft.count = len(ex.request.body)
    return Told(b"", headers={"x-encrypted-param": param, "Content-Type": "application/octet-stream"})


def cdn_download(state: State, ex: Exchange) -> Outcome:
    blob = state.cdn.ciphertext(ex.request.query.get("encrypted_query_param", ""))
    if blob is None:
        return _cdn_refusal(
            ex, 400, "-5102008", "invalid encrypted_param: data too short or base64 decode failed"
        )
    ex.draft.count = len(blob)
    return Told(blob, headers={"Content-Type": "application/octet-stream"})


def _cdn_refusal(ex: Exchange, status: int, code: str, words: str) -> Told:
    ex.draft.effect = Effect.REFUSED
    ex.draft.rule = "cdn"
    ex.draft.detail = f"{code} {words}"
    return Told(b"", status, {"x-error-code": code, "x-error-message": words})
