"""Requests that make something: done once under their key, also where an answer was lost and they are repeated."""

from __future__ import annotations

from typing import Annotated

import typer

from yizhan.cli.client import Api, Json
from yizhan.cli.trouble import AnswerLost, UsageMistake

KEY_MAX_CHARS = 255

Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="Idempotency key: under the same one, done once.")
]


def make(api: Api, path: str, key: str | None, body: Json | None = None) -> Json:
    """The answer. Without a key one is made up, so that a lost answer can tell how to repeat the command.

    Raises: as Api.call, and UsageMistake for a key that no header can carry.
    """
    used = _fresh() if key is None else _checked(key)
    try:
        return api.call("POST", path, body=body, key=used)
    except AnswerLost as error:
        fix = f"It may have been done. Repeat the command with --key {used}: it is done only once."
        raise AnswerLost(error.detail, fix) from None


def _checked(key: str) -> str:
    if not (key.isascii() and key.isprintable() and 1 <= len(key.strip()) <= KEY_MAX_CHARS):
        raise UsageMistake(
            "--key is not usable.", f"Give 1 to {KEY_MAX_CHARS} printable ASCII characters: --key report-7"
        )
    return key.strip()


def _fresh() -> str:
    from yizhan.runtime.clock import SystemChance

    return SystemChance().new_id("cli")
