"""The knobs: what this simulated WeChat is like today. Defaults are today's platform as its clients report it,
except `inbound`, which is kinder, and `client_id_dedupe`, which nobody has proved or refuted.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from yizhan_simulator.qq.knobs import QqKnobs

Wording = Literal[
    "prepare failed",
    "rate limited",
    "freq limit",
    "unknown error",
    "invalid arguments",
    "parameter error",
    "",
]
SuccessShape = Literal["modern", "documented", "legacy", "ancient"]
RefusalShape = Literal["ret", "ret+errcode0", "errcode", "both"]


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a refusal reads. `errmsg` null leaves the field out; `shape` null follows the knob `refusal_shape`.

    Source: every wording seen for -2 and -3, e.g. hermes-agent #16182, #35713, Tencent/openclaw-weixin #216.
    """

    ret: int = -2
    errmsg: str | None = "prepare failed"
    shape: RefusalShape | None = None


class DupInbound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every inbound message comes again.

    Source: repeats 1-11 s later, with the same, another or no message id (hermes-agent #16182,
    Tencent/openclaw-weixin #66, clowder-ai #925, QwenPaw #4546).
    """

    after_ms: int = 3000
    id: Literal["same", "new", "none"] = "same"
    token: Literal["same", "new"] = "same"
    probability: float = 1.0


class LateInbound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some messages reach the bot later than the phone showed them, and newer ones overtake them.

    Nobody has reported it, and nobody promises an order.
    """

    after_ms: int = 2000
    probability: float = 0.5


class QrKnobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a login goes. `verify_code`: digits the phone shows and the client must send; "random" makes some."""

    ttl_s: float = 120
    hold_ms: int = 30_000
    verify_code: str | None = None
    verify_tries: int = 3
    redirect_host: str | None = None
    min_client_version: int = 0
    """Clients announcing a lower iLink-App-ClientVersion are turned away on the phone."""
    auto: bool = False
    """Scan and confirm at once, by the user named `auto_user` or else the first one."""
    auto_user: str = ""


class Knobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hold_ms: int = 35_000
    advertised_hold_ms: int | None = None
    """`longpolling_timeout_ms` of the answer; null: two seconds more than the real hold, so clients do not race."""
    poll_ret: bool = False
    """`ret: 0` in healthy polls, as before July 2026."""
    batch_max: int = 200
    inbound: Literal["replay", "consume"] = "replay"
    """consume: delivery is consumption (Tencent/openclaw-weixin #164). replay: what no later cursor has
    acknowledged is given again."""
    revoked_poll: Literal["now", "window"] = "now"
    """When a poll held by a bot whose token dies hears -14: at once, or at the end of its hold (about 29 s in
    Tencent/openclaw-weixin #69)."""
    dup_inbound: DupInbound | None = None
    late_inbound: LateInbound | None = None
    split_text_at: int = 2048
    """The phone cuts longer texts into several messages (hermes-agent). 0: never."""
    quota_per_inbound: int = 10
    """Bot messages per user message; 0: unlimited."""
    window_s: float = 86_400
    """A conversation is open so long after the user's last message; 0: for ever."""
    needs_inbound: bool = True
    refusal: Refusal = Refusal()
    """The words for quota, window and unknown conversation."""
    refusal_shape: RefusalShape = "ret"
    auth_shape: Literal["errcode", "both"] = "errcode"
    success_shape: SuccessShape = "modern"
    id_style: Literal["number", "string"] = "number"
    token_check: Literal["off", "warn", "strict"] = "off"
    """What is done about reply tokens that are missing, unknown or too old. Expired ones are refused in any mode."""
    token_ttl_s: float = 0
    """Age at which a reply token is too old (with `token_check: strict`); 0: never."""
    tokenless: Literal["auto", "accept", "refuse"] = "auto"
    """Sends without a token; auto: refused only when `token_check` is strict."""
    stale_refusal: Refusal = Refusal(ret=-2, errmsg="unknown error")
    client_id_dedupe: bool = True
    silent_drop: list[str] = []
    """Users (id, name or `*`) who see nothing while the answer is `{"ret":0}` (Tencent/openclaw-weixin #263)."""
    drop_with_id: list[str] = []
    """Users who see nothing while the answer carries an id."""
    delay_batch: dict[str, float] = {}
    """User → seconds: bubbles appear late and together (Tencent/openclaw-weixin #261)."""
    text_max_bytes: int = 16_384
    media_urls: Literal["both", "param", "full"] = "both"
    image_aeskey: bool = True
    """Inbound images carry `aeskey` as hex beside `media.aes_key`."""
    typing_fade_ms: int = 10_000
    qr: QrKnobs = QrKnobs()
    qq: QqKnobs = QqKnobs()


_TABLES = ("qr", "qq", "refusal", "stale_refusal")


def merged(knobs: Knobs, change: dict[str, object]) -> Knobs:
    """The knobs with some of them turned; nested tables (`qr`, `qq`, `refusal` …) are merged too.

    Raises: msgspec.ValidationError naming the key.
    """
    table: dict[str, object] = msgspec.to_builtins(knobs)
    for name, value in change.items():
        old = table.get(name)
        nested = name in _TABLES and isinstance(old, dict) and isinstance(value, dict)
        table[name] = {**old, **value} if nested else value  # type: ignore[dict-item]
    return msgspec.convert(table, Knobs)
