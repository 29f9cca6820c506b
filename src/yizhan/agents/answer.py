"""The text of an answer while it grows: bounded, without the model's thoughts, cut only visibly. Pure.

Some models think aloud in `<think>…</think>` before they answer. Such a block is taken out where it
begins a line of prose, so that an answer that merely mentions the tag, or shows it in fenced code, keeps
it. A block that never ends is thought to the end.
"""

from __future__ import annotations

from typing import Literal

from yizhan.core.markdown import Fence, fence_after
from yizhan.core.text import blank

Language = Literal["zh", "en"]

TOO_LONG = {
    "zh": "（回答过长，以下从略。）",
    "en": "(The answer was too long; the rest was left out.)",
}
"""Closes an answer that passed our own bound."""
MODEL_STOPPED = {
    "zh": "（模型在此到达长度上限，回答可能不完整。）",
    "en": "(The model reached its own limit here; the answer may be incomplete.)",
}
"""Closes an answer that the model itself cut."""

_OPEN, _CLOSE = "<think>", "</think>"
_FENCE_LINE_CHARS = 1_000
"""A longer line neither begins nor ends fenced code."""


class AnswerText:
    """Lets an answer through piece by piece, at most `max_chars` characters of it.

    What it lets through, joined, neither begins nor ends with white space: white space is held back until
    something follows it.
    """

    def __init__(self, max_chars: int, language: Language) -> None:
        self._max_chars = max_chars
        self._language = language
        self._thoughts = ThoughtFilter()
        self._blank = ""
        self._length = 0
        self._seen = False
        self.full = False
        """True once more has come than fits: nothing further needs to be read."""

    @property
    def silent(self) -> bool:
        """Nothing but thoughts and what nobody sees has come."""
        return not self._seen

    def add(self, piece: str) -> str:
        """What can be said by now."""
        return self._let_through(self._thoughts.feed(piece))

    def end(self, model_stopped: bool = False) -> str:
        """What remains to be said when nothing more comes; a cut is closed with a line that says so."""
        rest = self._let_through(self._thoughts.end())
        if self.full:
            return f"{rest}\n\n{TOO_LONG[self._language]}"
        return f"{rest}\n\n{MODEL_STOPPED[self._language]}" if model_stopped and not self.silent else rest

    def _let_through(self, piece: str) -> str:
        text = piece if self._length else piece.lstrip()
        room = self._max_chars - self._length
        text, self.full = text[:room], self.full or len(text) > room
        self._length += len(text)
        self._seen = self._seen or not blank(text)
        text = self._blank + text
        said = text.rstrip()
        self._blank = text[len(said) :]
        return said


class ThoughtFilter:
    """Lets through what is not thought, however the pieces are cut. Holds back less than a line's blank head."""

    def __init__(self) -> None:
        self._pending = ""
        self._thinking = False
        self._line_head = True
        self._line = ""
        self._fence: Fence | None = None

    def feed(self, piece: str) -> str:
        """What of the text so far can be said by now."""
        self._pending += piece
        said: list[str] = []
        while self._step(said):
            pass
        return "".join(said)

    def end(self) -> str:
        """What was held back because it could have become a tag."""
        rest, self._pending = self._pending, ""
        return "" if self._thinking else rest

    def _step(self, said: list[str]) -> bool:
        """Moves over one thought or one piece of speech; False when more text is needed."""
        if self._thinking:
            return self._skip_thought()
        return self._say_line_head(said) if self._line_head else self._say_rest_of_line(said)

    def _skip_thought(self) -> bool:
        before, tag, after = self._pending.partition(_CLOSE)
        if not tag:
            self._pending = before[-(len(_CLOSE) - 1) :]
            return False
        self._pending, self._thinking, self._line_head = after, False, True
        return True

    def _say_line_head(self, said: list[str]) -> bool:
        head = self._pending.lstrip()
        blank = self._pending[: len(self._pending) - len(head)]
        said.append(blank)
        self._line = (self._line + blank).rpartition("\n")[2][-_FENCE_LINE_CHARS:]
        self._pending = head
        if not head or (self._fence is None and len(head) < len(_OPEN) and _OPEN.startswith(head)):
            return False
        self._line_head = False
        if self._fence is None and head.startswith(_OPEN):
            self._pending, self._thinking = head[len(_OPEN) :], True
        return True

    def _say_rest_of_line(self, said: list[str]) -> bool:
        line, end, after = self._pending.partition("\n")
        said.append(line + end)
        self._pending = after
        self._line_head = bool(end)
        self._line += line[: _FENCE_LINE_CHARS + 1 - len(self._line)]
        if end:
            whole = len(self._line) <= _FENCE_LINE_CHARS
            self._fence = fence_after(self._line, self._fence) if whole else self._fence
            self._line = ""
        return bool(end)
