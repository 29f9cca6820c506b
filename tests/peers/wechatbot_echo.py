"""wechatbot-sdk: receives, answers each text, types, sends one picture; ends after `count` messages.

Arguments: base URL, home directory, count, then as JSON what a login would have left behind.
The SDK's QR host and CDN host are constants; they are aimed at the simulator as its own tests would have to.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import wechatbot.auth
import wechatbot.client
from wechatbot import WeChatBot


async def main(base_url: str, home: Path, count: int, credentials: dict[str, str] | None) -> None:
    wechatbot.auth.FIXED_QR_BASE_URL = base_url
    wechatbot.client.CDN_BASE_URL = f"{base_url}/c2c"
    path = home / "credentials.json"
    if credentials is not None:
        path.write_text(json.dumps({**credentials, "baseUrl": base_url}))
    codes = iter(["000000", "424242"])
    bot = WeChatBot(base_url=base_url, cred_path=str(path), on_verify_code=lambda retry: next(codes))
    await bot.login()
    seen = 0

    @bot.on_message
    async def answer(message) -> None:  # type: ignore[no-untyped-def]
        nonlocal seen
        seen += 1
        await bot.send_typing(message.user_id)
        await bot.reply(message, f"wechatbot heard: {message.text}")
        if message.images:
            picture = await bot.download(message)
            await bot.reply_media(message, {"image": picture.data + b" again"})
        if seen == count:
            bot.stop()

    await bot.start()
    print(json.dumps({"user": bot.get_credentials().user_id, "seen": seen}))


if __name__ == "__main__":
    given = json.loads(sys.argv[4]) if len(sys.argv) > 4 else None
    asyncio.run(asyncio.wait_for(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), given), 40))
