"""What every body of iLink has in common. Reading JSON as such is `platforms/fields.py`.

A code that is no integer makes the whole body odd: guessing `"-2"` to be a refusal or `"0"` to be a success
would both be wrong some day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from yizhan.platforms.fields import Fields, Odd, one_line, parse_object

_CODE_BOUND = 2**63
_WORDS_BOUND = 200
_SECRET = re.compile(r"\S+@im\.bot:\S+|[A-Za-z0-9+/_=-]{32,}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every answer of the API has in common.

    code    None: it said none; 0: it said zero; else the refusal, from `ret` or `errcode`
    words   `errmsg`, bounded, on one line, with what looks like a secret cut out
    fields  the whole object
    """

    code: int | None
    words: str
    fields: Fields


def open_envelope(body: bytes) -> Envelope | Odd:
    """Reads a body. Empty bytes count as `{}`: early servers answered so.

    Source: Tencent/openclaw-weixin #91, #209 (empty bodies); 2.4.9 (`ret`); auth failures carry only `errcode`.
    """
    value = parse_object(body)
    if isinstance(value, Odd):
        return value
    code = _code(value)
    if isinstance(code, Odd):
        return code
    fields = Fields(value)
    return Envelope(code, _words(fields), fields)


def _code(values: dict[str, Any]) -> int | Odd | None:
    """The code of an answer: a refusal wins over zero, the login's refusal over every other."""
    said = [values[name] for name in ("ret", "errcode") if values.get(name) is not None]
    if not all(type(code) is int and abs(code) < _CODE_BOUND for code in said):
        return Odd("wrong-types", "the answer's code is not an integer")
    if -14 in said:
        return -14
    return next((code for code in said if code != 0), 0 if said else None)


def _words(fields: Fields) -> str:
    words = one_line(fields.text("errmsg") or fields.text("err_msg"), 5 * _WORDS_BOUND)
    return _SECRET.sub("…", words).strip()[:_WORDS_BOUND]
