"""nonebot-adapter-qq: connects (or listens as a webhook), answers every message it hears of, ends after `count`.

Arguments: base URL, app id, secret, count, and for the webhook the port to listen on. Everything is a setting.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import nonebot
from nonebot.adapters.qq import Adapter, Bot, MessageEvent
from nonebot.adapters.qq.event import InteractionCreateEvent

INTENTS = {
    "c2c_group_at_messages": True, "direct_message": True, "interaction": True, "message_audit": True,
    "at_messages": True, "guilds": False, "guild_members": False, "guild_message_reactions": False,
}  # fmt: skip


def settings(base_url: str, app_id: str, secret: str, port: str) -> dict[str, Any]:
    bot = {"id": app_id, "secret": secret, "intent": INTENTS, "use_websocket": not port}
    return {
        "_env_file": None, "log_level": "WARNING", "driver": "~fastapi+~httpx" if port else "~none+~httpx+~websockets",
        "host": "127.0.0.1", "port": int(port or 8080), "qq_api_base": f"{base_url}/",
        "qq_auth_base": f"{base_url}/app/getAppAccessToken", "qq_bots": [bot], "qq_verify_webhook": True,
    }  # fmt: skip


def main(base_url: str, app_id: str, secret: str, count: int, port: str) -> None:
    nonebot.init(**settings(base_url, app_id, secret, port))
    nonebot.get_driver().register_adapter(Adapter)
    told: list[dict[str, Any]] = []

    def note(**what: Any) -> None:
        told.append(what)
        if len(told) >= count:
            os.kill(os.getpid(), signal.SIGINT)

    hears = nonebot.on_message()

    @hears.handle()
    async def answer(bot: Bot, event: MessageEvent) -> None:
        text = event.get_plaintext()
        sent = await bot.send(event, f"nonebot heard: {text.strip()}")
        note(kind=event.get_event_name(), text=text, to_me=event.is_tome(), id=event.id, receipt=sent.id)

    buttons = nonebot.on_notice()

    @buttons.handle()
    async def acknowledge(bot: Bot, event: InteractionCreateEvent) -> None:
        await bot.put_interaction(interaction_id=event.id, code=0)
        note(kind="button", payload=event.data.resolved.button_data)

    nonebot.run()
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]), sys.argv[5] if len(sys.argv) > 5 else "")
