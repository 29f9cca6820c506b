"""What platforms say and advise, in Chinese. They say it in English, as phrases of their own; here each has its twin.

A phrase that stands nowhere here is shown as it came. A test asks every platform for all of its advice, so that none is
forgotten. Phrases may have a public address in them, and two of them begin with words that are followed by others.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_AGAIN = re.compile(r"(?:^|; )(yizhan account resume \S+) tries at once$")
_BLANK = "{address}"

PHRASES = {
    "add {address} to the IP whitelist on q.qq.com, under development settings": (
        "在 q.qq.com 的开发设置里，把 {address} 加入 IP 白名单"
    ),
    "add the public address of this machine (`curl -4 https://ifconfig.me` on it prints that) to the IP whitelist on "
    "q.qq.com, under development settings": (
        "在 q.qq.com 的开发设置里，把这台机器的公网地址加入 IP 白名单"
        "（在这台机器上运行 `curl -4 https://ifconfig.me` 可以看到）"
    ),
    "check app id and client secret: yizhan account add qq --app-id … replaces them": (
        "检查 AppID 和 AppSecret；用 yizhan account add qq --app-id … 更换"
    ),
    "check the app id: yizhan account add qq --app-id … replaces it": (
        "检查 AppID；用 yizhan account add qq --app-id … 更换"
    ),
    "check it: yizhan account add qq --app-id …": "检查 AppID：yizhan account add qq --app-id …",
    "look at its state on q.qq.com": "到 q.qq.com 查看机器人的状态",
    "look at the bot's permissions on q.qq.com": "到 q.qq.com 查看机器人的权限",
    "look at the bot's state on q.qq.com; once it is mended there, the next try finds out by itself": (
        "到 q.qq.com 查看机器人的状态；那里恢复以后，下一次尝试会自己发现"
    ),
    "update Yizhan": "升级 Yizhan",
    "the bot may receive no kind of message: ask for the events of groups and single chats on q.qq.com, under "
    "development, callback or event settings": (
        "机器人收不到任何消息：在 q.qq.com 的开发、回调或事件设置里申请群聊和单聊事件"
    ),
    "ask for these events on q.qq.com, under development, callback or event settings; once a day it is tried whether "
    "they are granted, and soon after the account is paused and resumed": (
        "在 q.qq.com 的开发、回调或事件设置里申请这些事件；每天会重试一次，暂停再恢复账号后也会很快重试"
    ),
    "app id and client secret do not belong together": "AppID 与 AppSecret 不匹配",
    "QQ does not know this app id, or the bot is banned or deleted": "QQ 不认识这个 AppID，或者机器人已被封禁或删除",
    "there is no such bot": "没有这个机器人",
    "QQ does not take requests from this machine's address": "QQ 不接受来自这台机器地址的请求",
    "QQ has banned the bot": "QQ 封禁了这个机器人",
    "QQ does not accept this bot's app id here": "QQ 在这里不接受这个 AppID",
    "the bot is banned": "机器人已被封禁",
    "the bot is taken offline, or only its sandbox may connect": "机器人已下线，或只允许沙箱连接",
    "the server does not speak this version of the protocol any more": "服务器不再支持这个版本的协议",
    "the bot may not ask for one of the intents": "机器人没有所申请的某项事件权限",
    "the list of intents is not valid": "所申请的事件列表无效",
    "groups and single chats (GROUP_AND_C2C_EVENT)": "群聊和单聊（GROUP_AND_C2C_EVENT）",
    "buttons (INTERACTION)": "按钮（INTERACTION）",
    "guild channels (PUBLIC_GUILD_MESSAGES)": "频道（PUBLIC_GUILD_MESSAGES）",
    "direct sessions of guilds (DIRECT_MESSAGE)": "频道私信（DIRECT_MESSAGE）",
    "results of audits (MESSAGE_AUDIT)": "审核结果（MESSAGE_AUDIT）",
    "WeChat does not accept this login any more; perhaps the user has linked another program": (
        "微信不再接受这个登录；可能又连接了别的程序"
    ),
    "log in again: yizhan login weixin": "重新登录：yizhan login weixin",
}
BARS = "The platform bars the account: "
DEAF = "QQ refused some of the events that were asked for; the bot hears nothing of "


def told(language: str, text: str) -> tuple[str, str]:
    """The text in this language if it is known there, else as it came; and in which language that is."""
    if language != "zh":
        return text, "en"
    chinese = _chinese(text)
    return (chinese, "zh") if chinese else (text, "en")


def _chinese(text: str) -> str | None:
    if text.startswith(BARS):
        why = _chinese(text.removeprefix(BARS).removesuffix("."))
        return f"平台禁止了这个账号：{why}。" if why else None
    if text.startswith(DEAF):
        names = [PHRASES.get(name) for name in text.removeprefix(DEAF).split(", ")]
        return f"QQ 没有授予部分事件，机器人收不到：{'、'.join(filter(None, names))}" if all(names) else None
    if text in PHRASES:
        return PHRASES[text]
    if (again := _AGAIN.search(text)) is not None:
        first = _chinese(text[: again.start()]) if again.start() else ""
        return None if first is None else f"{first}{'；' if first else ''}{again[1]} 会立即重试"
    address = _ADDRESS.search(text)
    pattern = PHRASES.get(text.replace(address.group(), _BLANK)) if address else None
    return pattern.replace(_BLANK, address.group()) if pattern and address else None
