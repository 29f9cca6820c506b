"""What the platform says when it says no: error codes with their HTTP status and second code, and close codes.

Source: bot.q.qq.com "api-call-guide" and the error pages; pairs of `code` and `err_code` from public reports on
qq-botpy, openclaw-qqbot and hermes-agent. A status nobody has recorded is 400, as for nearly all business errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """`err_code` None: the same as the code."""

    message: str
    status: int = 400
    err_code: int | None = None


CODES: Mapping[int, Known] = {
    # The token endpoint answers 200 whatever happens.
    10004: Known("bot not exist", 200),
    100001: Known("frequency limit", 200),
    100007: Known("appid invalid", 200),
    100016: Known("invalid appid or secret", 200),
    # Who may call.
    11241: Known("authorization header is missing", 401, 40012001),
    11242: Known("check app privilege failed", 401, 40012002),
    11243: Known("token not exist or wrong", 401, 40012002),
    11244: Known("token not exist or expire", 401, 11244),
    11251: Known("appid is wrong", 401, 40012003),
    11253: Known("check app privilege not pass", 400, 40012010),
    11255: Known("资源不存在(用户/群已关闭)", 400, 40011028),
    11265: Known("bot is banned", 400, 40012011),
    11292: Known("sandbox cannot access this resource", 400, 40012004),
    11298: Known("接口访问源IP不在白名单", 401, 40023002),
    12002: Known("invalid request", 400),
    # Sends to persons and groups.
    22006: Known("msg_type does not fit the content"),
    22009: Known("message limit exceeded", 429),
    40034004: Known("media transfer failed"),
    40034005: Known("回复消息msg_id已过期"),
    40034006: Known("content refused by security"),
    40034011: Known("markdown is invalid"),
    40034024: Known("请求参数msg_id无效或越权"),
    40034025: Known("请求参数event_id无效"),
    40034026: Known("event_id is expired"),
    40034028: Known("请求参数不允许包含url"),
    40034100: Known("proactive message rate exceeded"),
    40034101: Known("bot is not in the group"),
    40034102: Known("proactive messages are not permitted"),
    40034105: Known("主动消息推送已被关闭"),
    40034122: Known("wake-up messages are used up"),
    40034123: Known("wake-up is not supported here"),
    40034124: Known("markdown is not permitted"),
    40034128: Known("passive reply window or count exceeded"),
    40054002: Known("bot is muted in this group"),
    40054003: Known("bot is not in this group"),
    40054004: Known("not friends"),
    40054005: Known("消息被去重，请检查请求msgseq"),
    40054007: Known("message is too long"),
    40054010: Known("url is not allowed"),
    40054013: Known("user refuses messages"),
    40054016: Known("bot is offline"),
    40064004: Known("too late to recall"),
    50055001: Known("temporary failure"),
    # Guilds.
    50006: Known("empty message"),
    304003: Known("url not allowed", 403),
    304018: Known("bot is not connected to the gateway"),
    304023: Known("push message is waiting for audit now", 202),
    304026: Known("msg_id is wrong"),
    304027: Known("msg_id is expired"),
    304031: Known("direct message is closed"),
    304032: Known("direct message does not exist"),
    304045: Known("proactive messages to this channel are used up for today"),
    304049: Known("proactive direct messages to this user are used up for today"),
    304050: Known("proactive direct messages are used up for today"),
    304080: Known("file_info is invalid or expired"),
    630001: Known("interaction does not exist"),
    # Uploads.
    850026: Known("media download failed", 400, 40034001),
    850031: Known("media is too large"),
    40093001: Known("upload part failed"),
    40093002: Known("daily upload volume is used up"),
}
UNKNOWN = Known("error")

CLOSES: Mapping[int, str] = {
    1000: "", 1001: "going away", 1005: "", 1006: "", 1011: "keepalive ping timeout",
    4000: "unknown error", 4001: "invalid opcode", 4002: "invalid payload", 4003: "not authenticated",
    4004: "authentication failed", 4005: "already authenticated", 4006: "session id invalid",
    4007: "seq invalid", 4008: "sending too fast", 4009: "Session timed out", 4010: "invalid shard",
    4011: "sharding required", 4012: "invalid version", 4013: "invalid intents", 4014: "intents not permitted",
    4902: "reset by resume", 4903: "create session error", 4914: "bot is offline", 4915: "bot is banned",
    **{code: "internal error" for code in range(4900, 4914) if code not in (4902, 4903)},
}  # fmt: skip
"""Close code → the words in the close frame. Source: bot.q.qq.com "event-emit"; 4000, 4003-4005 botgo."""


def known(code: int) -> Known:
    return CODES.get(code, UNKNOWN)
