"""What the gateway itself says to chats, in the configured language. Data."""

from __future__ import annotations

from types import MappingProxyType

PHRASES = MappingProxyType(
    {
        "zh": MappingProxyType(
            {
                "alerts": "驿站提醒：",
                "alert_over": "已恢复",
                "more_alerts": "还有 {more} 条，见 yizhan status。",
                "turn_failed": "抱歉，这条消息暂时没能得到回答，管理员已能看到原因。稍后可以再发一次。",
                "stopped": "已停止。",
                "nothing_to_stop": "现在没有正在进行的回答。",
                "new_session": "好，从头开始。之前的对话不再作为上下文。",
                "status": "连接：{state}。正在回答：{running}。等待发送：{waiting} 条。",
                "parts_remain": "还有 {parts} 条消息没有发完（微信限制了连续发送的条数）。回复任意内容即可继续接收。",
                "running": "是",
                "idle": "否",
                "help": "/stop 停止当前回答\n/new 开始新的对话\n/retry 重新回答上一条\n/status 查看状态\n"
                "/agents 查看可选的助手\n/use 名称 换一个助手\n"
                "/approve 代码 允许新朋友（管理员）\n/help 显示这份说明",
                "patience": "还在处理，需要多一点时间。完成后就回复；如果没有收到，回复任意内容即可。",
                "retrying": "好，重新回答。",
                "nothing_to_retry": "没有可以重新回答的消息。",
                "still_answering": "上一条还在回答中。发送 /stop 可以停止。",
                "agents": "现在由 {agent} 回答。可以选择：{names}。",
                "agents_nobody": "现在没有助手回答。可以选择：{names}。",
                "using": "好，从现在起由 {agent} 回答。",
                "unknown_agent": "没有可以选择的助手叫 {name_given}。可以选择：{names}。",
                "nobody": "无",
                "state_starting": "正在启动",
                "state_up": "正常",
                "state_degraded": "不稳定",
                "state_down": "中断，正在重试",
                "state_login_needed": "需要管理员重新登录",
                "state_barred": "平台暂不允许，需要管理员处理",
                "state_paused": "管理员已暂停",
                "state_standby": "由另一个节点负责",
                "pairing": "你好，我还不认识你。请把这个代码告诉管理员，通过后就可以对话：{code}",
                "admins_only": "只有管理员可以使用这个命令。",
                "approved": "已允许：{who}。",
                "unknown_code": "没有等待批准的人使用这个代码。",
            }
        ),
        "en": MappingProxyType(
            {
                "alerts": "Yizhan:",
                "alert_over": "over",
                "more_alerts": "and {more} more; see yizhan status.",
                "turn_failed": "Sorry, this message could not be answered just now. The operator can see why. "
                "You may send it again later.",
                "stopped": "Stopped.",
                "nothing_to_stop": "No answer is being written.",
                "new_session": "A fresh start: what was said before is no longer taken into account.",
                "status": "Connection: {state}. Answering: {running}. Waiting to be sent: {waiting}.",
                "parts_remain": "{parts} more messages are waiting (WeChat limits how many may be sent in a row). "
                "Reply anything to get them.",
                "running": "yes",
                "idle": "no",
                "help": "/stop ends the answer being written\n/new starts a fresh conversation\n"
                "/retry asks again about your last message\n/status shows how things are\n"
                "/agents lists who can answer\n/use NAME lets another one answer\n"
                "/approve CODE lets somebody in (admins)\n/help shows this text",
                "patience": "Still working on it. The answer follows; if it does not, reply anything to get it.",
                "retrying": "Trying again.",
                "nothing_to_retry": "There is no message to answer again.",
                "still_answering": "Your last message is still being answered. /stop ends that.",
                "agents": "{agent} answers here. To choose from: {names}.",
                "agents_nobody": "Nobody answers here. To choose from: {names}.",
                "using": "From now on {agent} answers here.",
                "unknown_agent": "You cannot choose {name_given}. To choose from: {names}.",
                "nobody": "nobody",
                "state_starting": "starting",
                "state_up": "up",
                "state_degraded": "degraded",
                "state_down": "down, retrying",
                "state_login_needed": "the operator must log in again",
                "state_barred": "held up by the platform, the operator must act",
                "state_paused": "paused by the operator",
                "state_standby": "another node's affair",
                "pairing": "Hello, I do not know you yet. Tell the operator this code, and we can talk: {code}",
                "admins_only": "Only an admin may use this command.",
                "approved": "Allowed: {who}.",
                "unknown_code": "Nobody who waits for a decision was told this code.",
            }
        ),
    }
)
"""language → name → sentence. Both languages have the same names; a test compares."""


def say(language: str, name: str, **values: object) -> str:
    """The sentence `name` in `language`, with its blanks filled."""
    return PHRASES[language][name].format(**values)
