"""What an agent is told of a chat's history. Pure.

One that remembers by itself is told what it cannot know: what programs, schedules and persons have said to the chat
since it was asked last, and what the other side has, of which nobody could tell it. Else "yes, do it" would mean
nothing to it. One that remembers nothing is told the newest lines that fit.

Bounded by lines and, where the operator says so, by tokens. Tokens are estimated, since every model counts its own
way: a Chinese character is taken for one, other text for one in four bytes, and each line for four more. That
is rather too many than too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from yizhan.ports import Question, Said

LINE_TOKENS = 4
UNSEEN = {
    "zh": "（以上内容尚未送达对方。）",
    "en": "(The other side has not seen all of this yet.)",
}
"""Closes a line that has not been delivered, so that the model does not build on it."""


MEANWHILE = {
    "zh": "（在此之前，聊天中还有这些消息：）",
    "en": "(Since you were asked last, this was also said in the chat:)",
}
THEY_WROTE = {"zh": "对方：", "en": "They wrote: "}
"""Before what the other side has said."""


def remembered(history: Sequence[Said], max_lines: int, max_tokens: int | None, language: str) -> list[Said]:
    """The newest lines that fit both bounds, the oldest first, marked where the chat has not seen them."""
    kept: list[Said] = []
    room = max_tokens
    for line in reversed(history[-max_lines:] if max_lines else ()):
        told = _marked(line, language)
        if room is not None:
            room -= tokens(told.text) + LINE_TOKENS
            if room < 0:
                break
        kept.append(told)
    return kept[::-1]


def caught_up(question: Question) -> str:
    """The question's text, after what the agent has missed."""
    news = takewhile(lambda line: line.unasked or line.unheard, reversed(question.history))
    missed = [line for line in news if line.text][::-1]
    if not missed:
        return question.text
    wrote = THEY_WROTE.get(question.language, THEY_WROTE["en"])
    told = "\n".join(
        f"> {line}" for said in missed for line in f"{wrote if said.unheard else ''}{said.text}".splitlines()
    )
    return f"{MEANWHILE.get(question.language, MEANWHILE['en'])}\n{told}\n\n{question.text}"


def tokens(text: str) -> int:
    """About how many tokens a text is."""
    wide = sum(1 for character in text if character >= "\u2e80")
    return wide + (len(text.encode("utf-8", "replace")) - 3 * wide + 3) // 4


def alternating(lines: Sequence[Said]) -> list[dict[str, str]]:
    """User and assistant by turns, the user first: the prompt templates of some models take nothing else."""
    turns: list[dict[str, str]] = []
    for line in lines:
        if turns and turns[-1]["role"] == line.role:
            turns[-1]["content"] += f"\n\n{line.text}"
        else:
            turns.append({"role": line.role, "content": line.text})
    return turns if turns[:1] and turns[0]["role"] == "user" else [{"role": "user", "content": "…"}, *turns]


def _marked(line: Said, language: str) -> Said:
    if not line.undelivered:
        return line
    return replace(line, text=f"{line.text}\n{UNSEEN.get(language, UNSEEN['en'])}")
