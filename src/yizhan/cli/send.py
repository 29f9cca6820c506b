"""`yizhan send`: hands over one message, and waits for its outcome if asked to.

Exit codes: 0 accepted (`--wait`: delivered), 1 failed, expired or cancelled, 2 usage, 3 nothing accepted
because no gateway could be reached, 4 unconfirmed, or still waiting after `--timeout`.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from yizhan.cli.client import Api, Json, find_running, pause
from yizhan.cli.moments import Deadline, time_in
from yizhan.cli.paper import reason_text, safe
from yizhan.cli.trouble import DONE, FAILED, UNKNOWN, AnswerLost, ApiProblem, NoGateway, UsageMistake
from yizhan.cli.verb import Desk, verb

STDIN_MAX_BYTES = 8 * 1024 * 1024
ONE_WAIT_S = 25
"""Longest single question for a change; the API holds one at most 60 s."""
LOOK_PAUSE_S = 0.2
"""Between looks when the last one brought nothing new (the gateway stops, restarts, is gone)."""

LIVE = frozenset({"queued", "sending", "waiting"})
EXIT = {"delivered": DONE, "failed": FAILED, "expired": FAILED, "cancelled": FAILED, "unconfirmed": UNKNOWN}


def register(group: typer.Typer) -> None:
    """Adds the verb."""

    @verb(group)
    def send(
        desk: Desk,
        to: Annotated[
            str,
            typer.Option("-t", "--to", metavar="TARGET", help="platform:account:chat, or platform:chat."),
        ],
        text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
        wait: Annotated[bool, typer.Option("--wait", help="Wait for the outcome.")] = False,
        timeout: Annotated[float, typer.Option(help="Seconds to wait for it.", min=0, max=86_400)] = 30,
        priority: Annotated[
            str | None,
            typer.Option(metavar="reply|push|progress", help="Class of the message; default push."),
        ] = None,
        key: Annotated[
            str | None, typer.Option(help="Idempotency key: the same key is accepted only once.")
        ] = None,
        expires_in: Annotated[
            str | None, typer.Option(metavar="TIME", help="Give up after, for example 90s, 15m, 12h, 7d.")
        ] = None,
        in_reply_to: Annotated[
            str | None, typer.Option(metavar="ID", help="Id of the received message this answers.")
        ] = None,
    ) -> int:
        """Send a message.

        Exit code: 0 accepted (with --wait: delivered), 1 failed, expired or cancelled, 2 usage,
        3 gateway not reachable and nothing accepted, 4 unconfirmed or still waiting after --timeout.
        """
        order = _order(to, _text(text), priority, key, expires_in, in_reply_to)
        if wait:
            return _send_and_wait(desk, order, Deadline(timeout))
        with desk.api() as api:
            return _send(desk, api, order)


def _send(desk: Desk, api: Api, order: Json) -> int:
    message = _accept(api, order)
    desk.show(message, f"accepted {safe(message.get('id'))}")
    if not api.running:
        desk.note(
            f"no gateway is running on {desk.home}; the message will be sent when one runs (yizhan run)."
        )
    return DONE


def _send_and_wait(desk: Desk, order: Json, deadline: Deadline) -> int:
    try:
        with desk.running_api() as api:
            message = _accept(api, order)
    except NoGateway as error:
        detail = f"{error.detail} There is no outcome to wait for, and nothing was accepted."
        raise NoGateway(detail, "Start it (yizhan run), or leave out --wait.") from None
    message = _outcome(desk, message, deadline)
    desk.show(message, _outcome_line(message))
    return EXIT.get(str(message.get("state")), UNKNOWN)


def _accept(api: Api, order: Json) -> Json:
    """Hands the message over. A lost answer is told as what it is: nobody knows whether it was accepted."""
    try:
        return api.call("POST", "/v1/messages", body=order)
    except AnswerLost as error:
        fix = "Whether the message was accepted is not known. "
        if "idempotency_key" in order:
            fix += "Repeat the command with the same --key: it is accepted only once."
        else:
            fix += "Look first: yizhan outbox list. With --key a command can be repeated safely."
        raise AnswerLost(error.detail, fix) from None


def _outcome(desk: Desk, message: Json, deadline: Deadline) -> Json:
    """The message at its end, or as it was last seen when the time was over; survives a gateway's restart."""
    path = f"/v1/messages/{message['id']}"
    while message.get("state") in LIVE and (left_s := deadline.left_s()) > 0:
        seen = _look(desk, path, min(left_s, ONE_WAIT_S))
        if seen is None or seen == message:
            pause(min(LOOK_PAUSE_S, left_s))
        message = seen or message
    return message


def _look(desk: Desk, path: str, wait_s: float) -> Json | None:
    """The message at its next change; None while no gateway can say. It is accepted: nothing here is an error."""
    try:
        api = find_running(desk.home, desk.key_from_environment)
        if api is None:
            return None
        return api.call("GET", path, query={"wait": f"{wait_s:.3f}"}, wait_s=wait_s)
    except (AnswerLost, NoGateway, ApiProblem):
        return None


def _outcome_line(message: Json) -> str:
    state = str(message.get("state"))
    line = f"{state} {safe(message.get('id'))}"
    if state in ("queued", "waiting") and message.get("waiting_for"):
        line += f" for {safe(message['waiting_for'])}"
    why = reason_text(message.get("reason"))
    line += f": {why}" if why else ""
    return line + (" (possibly shown twice)" if message.get("possibly_doubled") else "")


def _order(
    to: str, text: str, priority: str | None, key: str | None, expires_in: str | None, in_reply_to: str | None
) -> Json:
    """The body of POST /v1/messages: what was given, nothing else."""
    order = {
        "to": to,
        "text": text,
        "priority": priority,
        "idempotency_key": key,
        "expires_at": time_in(expires_in, "--expires-in") if expires_in else None,
        "in_reply_to": in_reply_to,
    }
    return {name: value for name, value in order.items() if value is not None}


def _text(argument: str) -> str:
    """The text to send; `-` is standard input, less one line end. Raises UsageMistake if it is no text."""
    if argument != "-":
        return argument
    content = sys.stdin.buffer.read(STDIN_MAX_BYTES + 1)
    if len(content) > STDIN_MAX_BYTES:
        raise UsageMistake(
            f"Standard input is longer than {STDIN_MAX_BYTES // 1024 // 1024} MiB.",
            "Send a shorter text.",
        )
    try:
        return content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        fix = "Convert it first, for example with iconv."
        raise UsageMistake("Standard input is not valid UTF-8.", fix) from None
