"""What the console says of turns, and why one ended without an answer."""

from __future__ import annotations

TURNS: dict[str, tuple[str, str]] = {
    "turns": ("问答", "Turns"),
    "turns.how": (
        "一次问答：收到的话、由谁回答、结果如何。",
        "A turn is one answer in the making: what was asked, who answers, and what became of it.",
    ),
    "turns.none": ("没有符合条件的问答", "No turn fits"),
    "turns.asked": ("问了什么", "What was asked"),
    "turns.fate": ("进展", "How it goes"),
    "turns.others": ("另有 {n} 条", "and {n} more"),
    "turns.unknown": ("原话已不再保留", "What was asked is not kept any more"),
    "turns.open": ("进行中", "Not ended"),
    "turns.queued": ("排队", "Queued"),
    "turns.running": ("正在回答", "Running"),
    "turns.waiting": ("稍后回答", "Waiting"),
    "turns.done": ("已结束", "Done"),
    "turns.failed": ("失败", "Failed"),
    "turns.stopped": ("已停止", "Stopped"),
    "turns.queued.means": ("还没轮到它", "It has yet to be its turn"),
    "turns.running.means": ("智能体正在写", "The agent is at work"),
    "turns.waiting.means": ("智能体稍后通过接口回答", "The agent answers later, through the API"),
    "turns.done.means": (
        "生成的内容已收下，是否送达见会话",
        "What it generated is accepted; the chat shows its fate",
    ),
    "turns.failed.means": ("没有得到回答", "There is no answer"),
    "turns.stopped.means": ("提前结束了", "It was ended early"),
    "turns.rerun": ("再问一次", "Ask again"),
    "turns.rerun.sure": (
        "已经回答过了，再问一次会再发一个回答。确定吗？",
        "This was answered already; asked again, a second answer is sent. Ask again?",
    ),
    "turns.rerun.done": ("已重新提问，还没有回答", "Asked again; there is no answer yet"),
    "turns.stop": ("停止", "Stop"),
    "turns.stop.sure": (
        "停止回答？还没写完的内容不会发出；以后可以再问一次。",
        "Stop it? What is not finished is not sent; it can be asked again later.",
    ),
    "turns.stop.done": ("已停止", "Stopped"),
    "turns.now": ("{n} 个问答进行中", "Turns not ended: {n}"),
    "turns.lately": ("最近 24 小时 {n} 个问答失败", "Turns failed in the last 24 hours: {n}"),
    # why
    "reason.interrupted": ("来了新消息，改为回答新的", "A newer message came and is answered instead"),
    "reason.taken-over": ("有人接手了这个会话", "A person took the chat over"),
    "reason.account-removed": ("账号被删除", "The account was removed"),
    "reason.turn-broke": ("网关出错，日志里有原因", "It broke in the gateway; the log says why"),
    "reason.answer-missing": ("说好稍后回答，但没有回答", "The answer that was to come later did not come"),
    "reason.nobody-answers": ("这个会话没有智能体回答", "Nobody answers in this chat"),
    "reason.turn-timeout": ("回答用时超过了上限", "The answer took longer than it may"),
    "reason.unreadable": ("时间或时区读不懂", "Its time or time zone cannot be read"),
    "reason.internal-error": ("网关出错，日志里有原因", "It broke in the gateway; the log says why"),
    "reason.agent-gone": ("这个智能体不在配置里了", "The agent is not configured any more"),
    "reason.agent-busy": ("智能体限制了请求", "The agent’s endpoint limits requests"),
    "reason.agent-refused": ("智能体拒绝了访问，请检查密钥", "The agent refused us; check its key"),
    # why a message goes on waiting, or does not arrive
    "reason.audit": ("平台审核未通过", "The platform has looked at it and will not show it"),
    "reason.unasked-quota": (
        "平台对主动消息有数量限制，已经用完",
        "The platform takes only so many messages that nobody asked for",
    ),
    "reason.unasked-refused": (
        "这个会话现在只接受回答；对方写来或打开开关后再发",
        "The chat takes only answers just now; the other side’s next message, or its switch, releases this",
    ),
    "reason.shard-connecting": ("连接还没有全部建立", "Not every connection is up yet"),
    "reason.no-answer": ("对方没有应答", "Nothing was answered"),
}
"""name → (中文, English), with blanks in braces."""
