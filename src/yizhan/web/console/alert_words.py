"""What alerts say and advise, in Chinese; `{}` as in complaints.py, where the longer of two that fit comes first."""

from __future__ import annotations

ALERTS: tuple[tuple[str, str], ...] = (
    (
        "{} messages whose answer was lost are held for you in {} chats.",
        "{} 条消息的应答丢失，等你决定，在 {} 个会话里。",
    ),
    ("{} messages whose answer was lost are held for you.", "{} 条消息的应答丢失，等你决定。"),
    ("1 message whose answer was lost is held for you.", "1 条消息的应答丢失，等你决定。"),
    ("{} messages have waited longer than {} in {} chats.", "{} 条消息等待超过 {}，在 {} 个会话里。"),
    ("{} messages have waited longer than {}.", "{} 条消息等待超过 {}。"),
    ("1 message has waited longer than {}.", "1 条消息等待超过 {}。"),
    ("{} messages have failed lately in {} chats.", "{} 条消息最近发送失败，在 {} 个会话里。"),
    ("{} messages have failed lately.", "{} 条消息最近发送失败。"),
    ("1 message has failed lately.", "1 条消息最近发送失败。"),
    ("{} messages have expired lately in {} chats.", "{} 条消息最近过期，在 {} 个会话里。"),
    ("{} messages have expired lately.", "{} 条消息最近过期。"),
    ("1 message has expired lately.", "1 条消息最近过期。"),
    ("Nothing can be stored: {}", "数据无法保存：{}"),
    ("Make room, or start the database; it goes on by itself.", "请腾出空间，或启动数据库；之后会自动继续。"),
    ("{} MiB are left on the disk of the home.", "数据所在的磁盘只剩 {} MiB。"),
    ("Free some space; without it nothing can be accepted.", "请腾出空间；没有空间就不能再收下消息。"),
    ("The login is over: {}.", "登录失效：{}。"),
    ("The login is over.", "登录失效。"),
    ("The platform bars the account.", "平台禁止了这个账号。"),
    ("The platform has not answered for {}: {}.", "平台已有 {} 没有应答：{}。"),
    ("The platform has not answered for {}.", "平台已有 {} 没有应答。"),
    ("It is tried again; see yizhan status.", "会自动重试，下面的账号里有详情。"),
    ("The platform has limited sending for {}.", "平台限制发送已有 {}。"),
    ("It goes on by itself; yizhan status shows gates.", "会自动继续，下面的账号里有详情。"),
    ("Ask the person, then retry or cancel: yizhan outbox", "问过对方以后，重试或取消。"),
    ("{} messages wait to be sent; more than {} are too many.", "{} 条消息等待发送，超过 {} 条就太多了。"),
    (
        "yizhan status shows what holds them; ask who sends so much",
        "下面的账号里能看到卡在哪里；再问问是谁发了这么多。",
    ),
    (
        "{} sends in a row were accepted without a receipt; perhaps nobody sees them.",
        "连续 {} 条没有回执，对方可能看不到。",
    ),
    (
        "Look at the phone; then: yizhan outbox retry --state unconfirmed",
        "看看手机上有没有；没有就重试未确认的消息。",
    ),
    ("{} schedules cannot be carried out; {}: {}", "{} 个定时无法执行；{}：{}"),
    ("1 schedule cannot be carried out; {}: {}", "1 个定时无法执行；{}：{}"),
    ("{} min", "{} 分钟"),
    ("{} h", "{} 小时"),
    ("{} d", "{} 天"),
    ("{} s", "{} 秒"),
)
