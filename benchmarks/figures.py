"""The road under fair weather, and how it stops and starts: a real process on loopback."""

from __future__ import annotations

import asyncio
import signal
import time

from benchmarks.figure import Figure, quantile_ms
from benchmarks.stage import Stage, stage
from yizhan_simulator import Limit, Outage

DEBOUNCE_S = 0.6


async def echo() -> list[Figure]:
    """From the person's tap on "send" to the answer on the same screen, beyond the debounce."""
    async with stage(20, {"YIZHAN_AGENT": "echo"}) as made:
        await made.shown(20)
        waits = []
        for number in range(40):
            user = made.users[number % 20]
            seen, began = len(made.arrivals), time.monotonic()
            made.world.say(user, f"question {number}", made.sim.clock.now_ms())
            await made.shown(seen + 1)
            waits.append(max(made.arrivals.values()) - began - DEBOUNCE_S)
        return [
            Figure(
                "reply to a phone message, beyond agent and debounce, p50",
                quantile_ms(waits, 0.5),
                1000,
                "ms",
            ),
            Figure(
                "reply to a phone message, beyond agent and debounce, p99",
                quantile_ms(waits, 0.99),
                1000,
                "ms",
            ),
        ]


async def idle_latency() -> list[Figure]:
    """From the 202 in a program's hands to the platform, one message at a time (below zero where the platform had the
    message first); and from its request, which adds our API and the commit of the accepting."""
    async with stage(20) as made:
        asked, accepted = [], []
        for number in range(400):
            began = time.monotonic()
            message = await made.send(made.users[number % 20], f"message {number}")
            answered = time.monotonic()
            await made.shown(number + 1)
            arrived = made.arrivals[f"yizhan:{message['id']}:1"]
            asked.append(arrived - began)
            accepted.append(arrived - answered)
        return [
            Figure("202 in the caller's hands → on the wire, idle, p50", quantile_ms(accepted, 0.5), 5, "ms"),
            Figure(
                "202 in the caller's hands → on the wire, idle, p99", quantile_ms(accepted, 0.99), 25, "ms"
            ),
            Figure("POST sent → on the wire, idle, p50", quantile_ms(asked, 0.5), None, "ms"),
        ]


async def throughput(messages: int = 6_000, accounts: int = 16, chats: int = 4) -> list[Figure]:
    """Accepted over HTTP, committed, sent, settled; CPU of the gateway process, all threads."""
    async with stage(1) as made:
        targets = await _crowd(made, accounts, chats)
        before_s, began = made.gateway.cpu_s(), time.monotonic()
        numbers = iter(range(messages))

        async def feed() -> None:
            for number in numbers:
                body = {"to": targets[number % len(targets)], "text": f"message {number}"}
                await made.gateway.post("/v1/messages", body)

        await asyncio.gather(*(feed() for _ in range(64)))
        await made.shown(messages)
        cpu_s, took_s = made.gateway.cpu_s() - before_s, time.monotonic() - began
        return [
            Figure("durable messages per CPU second", messages / cpu_s, 1000, "1/s", at_least=True),
            Figure("durable messages per second", messages / took_s, None, "1/s"),
        ]


async def stop_and_start() -> list[Figure]:
    """SIGTERM with work queued behind a limit, an event reader and a console tab open."""
    async with stage(20, {"YIZHAN_CONSOLE__ENABLED": "true"}) as made:
        made.world.add_limit(Limit(count=1, per_s=1), made.sim.clock.now_ms())
        for number in range(500):
            await made.send(made.users[number % 20], f"message {number}")
        assert made.gateway.http is not None
        reader = await made.gateway.http.get("/v1/events")
        async with made.gateway.console_tab():
            stop_s, code = await made.gateway.stop()
        reader.close()
        return [
            Figure("SIGTERM to exit, work queued, event reader + tab open", stop_s, 2, "s"),
            Figure("its exit code", code, 0, ""),
        ]


async def restart() -> list[Figure]:
    """Killed with work queued while the platform was away, started again when it is back."""
    async with stage(20) as made:
        made.world.add_outage(Outage(to_s=3_600), made.sim.clock.now_ms())
        for number in range(100):
            await made.send(made.users[number % 20], f"message {number}")
        await made.gateway.stop(signal.SIGKILL)
        made.world.clear_weather()
        seen, began = len(made.arrivals), time.monotonic()
        starting = asyncio.create_task(made.gateway.start())
        await made.shown(seen + 1)
        first_s = time.monotonic() - began
        await starting
        return [Figure("start of the process to first send", first_s, 1.5, "s")]


async def _crowd(made: Stage, accounts: int, chats: int) -> list[str]:
    """Many accounts with some chats each, all known to the gateway; answers their targets."""
    targets = []
    for account in range(accounts):
        users = [made.world.add_user(f"person {account}.{number}") for number in range(chats)]
        bot = made.world.add_bot(users[0])
        body = {"platform": "weixin", "account_id": bot.bot_id, "token": bot.token, "base_url": made.sim.url}
        await made.gateway.post("/v1/accounts", body)
        targets += [f"weixin:{bot.bot_id}:{user}" for user in users]
    await asyncio.sleep(1)
    return targets
