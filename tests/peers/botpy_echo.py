"""qq-botpy: connects, answers every message it hears of, and ends after `count` of them.

Arguments: base URL, app id, secret, count. Its hosts are class attributes and a literal; they are aimed at the
simulator as its own tests would have to.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiohttp
import botpy
from botpy.http import Route

TOKEN_HOST = "https://bots.qq.com"


def aim(base_url: str) -> None:
    Route.SCHEME = "http"
    Route.DOMAIN = base_url.removeprefix("http://")
    post = aiohttp.ClientSession.post

    def aimed(self: Any, url: str, **options: Any) -> Any:
        return post(self, url.replace(TOKEN_HOST, base_url), **options)

    aiohttp.ClientSession.post = aimed


class Echo(botpy.Client):
    """Each kind of message is answered by the library's own `reply`."""

    def __init__(self, count: int) -> None:
        super().__init__(
            intents=botpy.Intents(public_messages=True, public_guild_messages=True, direct_message=True,
                                  interaction=True),
            ext_handlers=False,
        )  # fmt: skip
        self.count, self.told, self.done = count, [], asyncio.Event()

    def note(self, **what: Any) -> None:
        self.told.append(what)
        if len(self.told) >= self.count:
            self.done.set()

    async def answer(self, kind: str, message: Any) -> None:
        sent = await message.reply(content=f"botpy heard: {message.content.strip()}")
        self.note(kind=kind, text=message.content, id=message.id, receipt=sent["id"])

    async def on_c2c_message_create(self, message: Any) -> None:
        await self.answer("c2c", message)

    async def on_group_at_message_create(self, message: Any) -> None:
        await self.answer("group", message)

    async def on_at_message_create(self, message: Any) -> None:
        await self.answer("channel", message)

    async def on_direct_message_create(self, message: Any) -> None:
        await self.answer("dm", message)

    async def on_friend_add(self, event: Any) -> None:
        self.note(kind="friend", openid=event.openid)

    async def on_group_add_robot(self, event: Any) -> None:
        self.note(kind="joined", openid=event.group_openid)

    async def on_interaction_create(self, interaction: Any) -> None:
        await self.api.on_interaction_result(interaction.id, 0)
        self.note(kind="button", payload=interaction.data.resolved.button_data)


async def main(base_url: str, app_id: str, secret: str, count: int) -> None:
    aim(base_url)
    client = Echo(count)
    running = asyncio.ensure_future(client.start(appid=app_id, secret=secret))
    await asyncio.wait(
        {running, asyncio.ensure_future(client.done.wait())}, return_when=asyncio.FIRST_COMPLETED
    )
    if running.done():
        running.result()
    running.cancel()
    print(json.dumps(client.told))


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(*sys.argv[1:4], int(sys.argv[4])), 40))
