"""What the console says of who may talk to the agent, and by which rule."""

from __future__ import annotations

PEOPLE: dict[str, tuple[str, str]] = {
    "people.configured": ("由配置决定的", "What the configuration says"),
    "people.configured.how": (
        "这里只能看；修改 config.yaml 或环境变量后重启生效。你在这一页的决定优先，屏蔽优先于一切。",
        "To read only; change config.yaml or the environment and restart. What is decided on this page wins over "
        "it, and a block over everything.",
    ),
    "people.access.policy": ("陌生人", "Strangers"),
    "people.access.allow": ("始终放行", "Always allowed"),
    "people.access.admins": (
        "管理员：放行，可在聊天里发管理指令",
        "Admins: allowed, and may give commands in a chat",
    ),
    "people.access.groups": ("群聊", "Groups"),
    "people.access.group_allow": ("可以说话的群", "Groups in which the agent speaks"),
    "people.access.per_minute": ("每人每分钟最多", "Most per person and minute"),
    "people.access.per_day": ("每人每天最多", "Most per person and day"),
    "people.owners": ("账号主人：扫码登录的人，等同管理员", "Owners: who confirmed a login; as admins"),
    "people.nobody": ("没有", "nobody"),
    "people.groups.senders": ("和单聊一样，按人决定", "as in a chat of one’s own"),
    "people.groups.open": ("群里每个人都可以", "everybody in an allowed group"),
    "people.groups.off": ("不在群里回答", "nobody"),
    "people.role.owner": ("主人", "owner"),
    "people.role.admin": ("管理员", "admin"),
    "people.role.configured": ("配置放行", "allowed by configuration"),
    "people.code": ("放行码 {code}", "code {code}"),
    "people.approve": ("按放行码放行", "Allow by code"),
    "people.approve.how": (
        "陌生人收到的放行码，转告给你的就填在这里。",
        "The code that an unknown sender was told, and has told you.",
    ),
    "people.approve.code": ("放行码", "Code"),
    # the rule that decided about a message
    "rule.blocked": ("已被屏蔽", "blocked by a person"),
    "rule.pairing": ("陌生人，等你放行", "unknown, until you allow them"),
    "rule.allowlist": ("不在放行名单里", "not on the list of those allowed"),
    "rule.groups-off": ("设置为不在群里回答", "the agent does not speak in groups"),
    "rule.group-not-allowed": ("这个群不在允许的群里", "the agent does not speak in this group"),
    "rule.group-people": ("在这个群里只回答指定的人", "in this group only some are answered"),
    "rule.per-minute": ("一分钟内问得太多", "asked too often within a minute"),
    "rule.per-day": ("一天内问得太多", "asked too often within a day"),
}
"""name → (中文, English), with blanks in braces."""
