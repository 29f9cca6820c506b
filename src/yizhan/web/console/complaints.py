"""What a request is refused with, and what alerts say, in Chinese. The API says it in English, for every reader alike;
here each sentence that a person may meet in the console has its twin.

`{}` stands for what the sentence is about: an id, what was typed, a number. A sentence that stands nowhere here is
shown as it came.
"""

from __future__ import annotations

import re
from functools import cache

from yizhan.web.console import advice
from yizhan.web.console.alert_words import ALERTS

TWINS: tuple[tuple[str, str], ...] = (
    # when something is due
    ("It is not said when.", "没有写时间。"),
    (
        "Write a cron expression (0 9 * * 1-5), every 2h, 30m, at 18:00 or at 2026-12-24T18:00.",
        "写成 cron 表达式（0 9 * * 1-5）、every 2h、30m、at 18:00 或 at 2026-12-24T18:00。",
    ),
    ("There is no time zone {}.", "没有时区 {}。"),
    (
        "Use a name such as Asia/Shanghai, Europe/Berlin or UTC.",
        "写成 Asia/Shanghai、Europe/Berlin 或 UTC 这样的名字。",
    ),
    ("every {} is too often.", "every {} 太频繁。"),
    ("The shortest interval is a minute: every 1m.", "最短间隔是一分钟：every 1m。"),
    ("{} is no length of time.", "{} 不是一段时间。"),
    ("Write it as 30m, 2h, 1h30m or 1d.", "写成 30m、2h、1h30m 或 1d。"),
    ("{} is no usable length of time.", "{} 太短或太长。"),
    ("It may be from a second to a year.", "可以从一秒到一年。"),
    ("{} is no time of day.", "{} 不是一天里的时间。"),
    ("Write it from 00:00 to 23:59.", "写成 00:00 到 23:59。"),
    ("{} is no time to come.", "{} 已经过去或太远。"),
    ("Choose a later time, before the year 9999.", "换一个以后的时间，不晚于 9999 年。"),
    ("{} is no time.", "{} 不是时间。"),
    ("Write at 18:00 or at 2026-12-24T18:00.", "写成 at 18:00 或 at 2026-12-24T18:00。"),
    ("{} names a day and no time.", "{} 只有日期，没有时间。"),
    ("Write at 2026-12-24T18:00.", "写成 at 2026-12-24T18:00。"),
    ("{} says no time.", "{} 没有说时间。"),
    ("{} is no cron expression ({}).", "{} 不是 cron 表达式（{}）。"),
    (
        "Its five fields are minute, hour, day of the month, month and day of the week: 0 9 * * 1-5.",
        "五个字段依次是分、时、日、月、星期：0 9 * * 1-5。",
    ),
    # schedules
    ("It is not said what to say.", "没有写内容。"),
    ("Give `text`, or `prompt` for the agent.", "写上要发送的文字，或给智能体的问题。"),
    ("ends_at is over.", "结束时间已经过去。"),
    ("Choose a later time, or take it away: null, or --ends none.", "换一个以后的时间，或者清空。"),
    ("{} is never due any more.", "{} 不会再到时间了。"),
    ("Write another time: `when`.", "换一个时间。"),
    ("{} is never due before {}, when it ends.", "{} 在结束时间 {} 之前不会到时间。"),
    (
        "Give a later `ends_at`, take it away with null, or change `when`.",
        "换一个更晚的结束时间，或者清空它，或者换一个时间。",
    ),
    ("Both text and prompt are given.", "文字和问题都填了。"),
    ("Give one of them.", "只填一个。"),
    ("A schedule needs somebody to write to.", "没有写发给谁。"),
    ("Give 1 to {} targets in `to`.", "写 1 到 {} 个会话。"),
    ("Nobody answers in {}.", "{} 里没有智能体回答。"),
    ("Set agent, or a route for this chat.", "请设置 agent，或给这个会话设置路由。"),
    ("There is no schedule {}.", "没有定时 {}。"),
    ("See the schedules with `yizhan schedule list`.", "它可能已被删除。"),
    ("The end is not a time.", "结束时间不是时间。"),
    ("Write it as 2026-12-31T18:00.", "写成 2026-12-31T18:00。"),
    ("A number from {} to {} is needed.", "需要 {} 到 {} 之间的数字。"),
    ("Correct it and try again.", "改正后再试。"),
    # to whom
    ("{} is not a target.", "{} 不是会话。"),
    (
        "Write platform:account:chat, for example weixin:ab12@im.bot:o9…@im.wechat or qq:1020304:c2c/OPENID.",
        "写成 平台:账号:会话，例如 weixin:ab12@im.bot:o9…@im.wechat 或 qq:1020304:c2c/OPENID。",
    ),
    ("{} names an account, not a chat.", "{} 是账号，不是会话。"),
    ("Write {}:CHAT with the chat's id.", "写成 {}:会话编号。"),
    ("There is no account {} here.", "这里没有账号 {}。"),
    ("There is no account {}.", "没有账号 {}。"),
    ("There is no account of {} here.", "这里没有 {} 的账号。"),
    ("{} has {} accounts; {} does not say which.", "{} 有 {} 个账号；{} 没有说是哪一个。"),
    ("Known accounts: {}.", "已有的账号：{}。"),
    ("See the accounts with `yizhan account list`.", "它可能已被删除。"),
    ("yizhan account list shows them.", "它可能已被删除。"),
    ("Add one with yizhan login weixin or yizhan account add.", "请先在“账号”里添加。"),
    (
        "A WeChat chat is the user's id, and that ends in @im.wechat.",
        "微信会话就是对方的编号，以 @im.wechat 结尾。",
    ),
    (
        "{} is no QQ chat; those are c2c/OPENID, group/OPENID, channel/ID and dm/ID.",
        "{} 不是 QQ 会话；会话写成 c2c/OPENID、group/OPENID、channel/ID 或 dm/ID。",
    ),
    (
        "Copy it from the console's list of chats, from GET /v1/chats or from a received message.",
        "请从“会话”页复制。",
    ),
    ("{} holds a character that nobody sees, {}.", "{} 里有看不见的字符 {}。"),
    ("Type it, or copy it from where Yizhan shows it.", "请手动输入，或从驿站的页面复制。"),
    # messages and turns
    ("The text is empty, or nothing of it can be shown.", "内容是空的，或者没有能显示的文字。"),
    ("Send some text.", "写点什么再发。"),
    ("The text has {} characters; at most {} are accepted.", "内容有 {} 字，最多 {} 字。"),
    (
        "Shorten it, send it in several messages, or raise delivery.text_max_chars.",
        "缩短，分几条发，或调大 delivery.text_max_chars。",
    ),
    ("There is no message {}.", "没有消息 {}。"),
    ("See `yizhan outbox list`.", "它可能已被删除。"),
    (
        "Message {} is {}: nothing of it is still waiting.",
        "消息 {} 的状态是 {}：没有还在等待的部分。",
    ),
    ("Only what has not been sent can be cancelled.", "只有还没发出的可以取消。"),
    ("Message {} is {}: there is nothing to try again.", "消息 {} 的状态是 {}：没有可重试的。"),
    (
        "Only failed, expired, cancelled, unconfirmed or waiting messages can be retried.",
        "只有失败、过期、取消、未确认或等待中的消息可以重试。",
    ),
    ("There is no turn {}.", "没有问答 {}。"),
    ("See the turns with `yizhan turn list`.", "它可能已被删除。"),
    ("Turn {} is {}.", "问答 {} 的状态是 {}。"),
    ("Stop it first, or wait for its end.", "先停止它，或等它结束。"),
    ("Turn {} asks again already.", "问答 {} 已经在重新问了。"),
    ("Wait for its end, or stop it first.", "等它结束，或先停止它。"),
    ("There is nothing left to stop.", "已经没有可停止的了。"),
    ("Nobody answers here.", "这里没有智能体回答。"),
    ("Set agent, or a route, and restart the gateway.", "设置 agent 或路由，再重启网关。"),
    (
        "What was asked in this turn is not kept any more (retention.messages_days).",
        "这个问答的原话已不再保留（retention.messages_days）。",
    ),
    ("Let the question be asked in the chat again.", "请对方在会话里再问一次。"),
    ("A person answers this chat.", "现在由人回答这个会话。"),
    ("Hand it back to the agent first.", "请先交还给智能体。"),
    # accounts, people, keys
    ("There is no login {}.", "登录 {} 已经结束。"),
    ("Start a new one.", "请重新开始。"),
    ("The code must be the digits that the phone shows.", "请输入手机上显示的数字。"),
    ("Type digits only.", "只能是数字。"),
    ("{} logins are open already.", "已经有 {} 个登录在进行。"),
    ("Finish one, or wait some minutes.", "请先完成一个，或等几分钟。"),
    ("That is no app id.", "这不是 AppID。"),
    ("It is the number that q.qq.com shows as AppID.", "它是 q.qq.com 上显示为 AppID 的数字。"),
    ("That is no address.", "这不是地址。"),
    ("Write it as https://host or https://host:port.", "写成 https://主机 或 https://主机:端口。"),
    ("An account needs an id and a token.", "账号需要编号和密钥。"),
    ("Give both.", "两个都要填。"),
    ("The token holds white space or characters that no token has.", "密钥里有空白或不该有的字符。"),
    ("Copy it again, whole and alone.", "请重新完整复制，不要带别的字符。"),
    ("Nobody who waits for a decision was told this code.", "等待放行的人里没有人收到过这个放行码。"),
    ("See who waits: yizhan access list.", "对照上面的列表。"),
    ("There is no API key {}.", "没有密钥 {}。"),
    ("See the keys with `yizhan key list`.", "它可能已被作废。"),
    # webhooks
    ("Write it as https://host/path.", "写成 https://主机/路径。"),
    ("Nothing is posted to this url: {}.", "不会推送到这个地址：{}。"),
    ("it is longer than {} characters", "超过 {} 个字符"),
    ("it is no URL", "不是网址"),
    ("it is neither http nor https", "既不是 http 也不是 https"),
    ("it names no host", "没有主机名"),
    ("it holds a user name or a password", "里面有用户名或密码"),
    ("it is the metadata service of a cloud", "是云主机的元数据服务"),
    ("it is this machine", "是这台机器自己"),
    ("it is an address of the local link", "是本地链路地址"),
    ("it is a multicast address", "是组播地址"),
    ("it is a private or reserved address", "是内网或保留地址"),
    (
        "Give an address that the internet can reach, or set webhooks.allow_private.",
        "换一个公网能访问的地址，或设置 webhooks.allow_private。",
    ),
    ("There is no webhook {}.", "没有 Webhook {}。"),
    ("See GET /v1/webhooks.", "它可能已被删除。"),
    (
        "Write https://HOST/PATH. The program knows us by the signature, or by a secret in the path.",
        "写成 https://主机/路径。对方通过签名或路径里的密钥认出我们。",
    ),
    ("Nothing is posted while no gateway runs.", "网关没有运行，不会推送。"),
    ("Start it: yizhan run", "请启动：yizhan run"),
    ("There are {} webhooks already.", "已经有 {} 个 Webhook。"),
    ("Remove one that is not needed.", "请先删除不需要的。"),
    ("That is no event.", "这不是事件编号。"),
    ("Give its number, or nothing for all that are kept.", "填事件的编号；不填就是全部保留的。"),
    ("Events after {} are not kept.", "事件 {} 之后的已不再保留。"),
    (
        "The oldest that can be posted comes after {}, the newest is {}.",
        "最早可以从 {} 之后开始，最新的是 {}。",
    ),
)


def told(language: str, text: str) -> tuple[str, str]:
    """The sentence in this language if it is known there, else as it came; and in which language that is."""
    if language != "zh" or not text:
        return text, language if not text else "en"
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(text):
            return chinese.format(*(told(language, group)[0] for group in found.groups())), "zh"
    return advice.told(language, text)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((_pattern(english), chinese) for english, chinese in (*TWINS, *ALERTS))


def _pattern(english: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(map(re.escape, english.split("{}"))), re.DOTALL)
