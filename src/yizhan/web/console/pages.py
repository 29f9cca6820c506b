"""The pages. Importing one puts it below its address; each reads through the gateway and shows at most 100 rows."""

from yizhan.web.console import (
    page_accounts,
    page_chat,
    page_chats,
    page_outbox,
    page_overview,
    page_people,
    page_schedules,
    page_settings,
    page_turns,
    page_webhooks,
)

__all__ = [
    "page_accounts",
    "page_chat",
    "page_chats",
    "page_outbox",
    "page_overview",
    "page_people",
    "page_schedules",
    "page_settings",
    "page_turns",
    "page_webhooks",
]
