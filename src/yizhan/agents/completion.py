"""What an OpenAI-compatible endpoint says, piece by piece: chunks, whole answers, complaints. Pure.

Tolerant of what it does not know, strict about what it reads: an unknown member is ignored, a member of
the wrong type makes the piece a NoCompletion.
"""

from __future__ import annotations

import msgspec

from yizhan.agents.answer import AnswerText

_DONE = b"[DONE]"


class NoCompletion(ValueError):
    """Bytes that are no completion. Says so without repeating them."""


class _Piece(msgspec.Struct):
    text: str = ""


class _Text(msgspec.Struct):
    content: str | list[_Piece] | None = None


class _Choice(msgspec.Struct):
    delta: _Text | None = None
    message: _Text | None = None
    finish_reason: str | None = None


class _Words(msgspec.Struct):
    message: str | None = None


class _Completion(msgspec.Struct):
    """A chunk of a stream (`delta`), a whole answer (`message`), or a complaint (`error`)."""

    choices: list[_Choice] | None = None
    error: _Words | str | None = None


class _Refusal(msgspec.Struct):
    """The shapes in which endpoints say no."""

    error: _Words | str | None = None
    message: str | None = None
    detail: str | None = None


_completion = msgspec.json.Decoder(_Completion)
_refusal = msgspec.json.Decoder(_Refusal)


class Reading:
    """An answer as far as it has been read.

    whole          the model or the stream said that this is all
    finish_reason  why the model stopped, empty if it did not say
    complaint      the endpoint's words when it failed in the middle, else None
    """

    def __init__(self, text: AnswerText) -> None:
        self._text = text
        self._done = False
        self.finish_reason = ""
        self.complaint: str | None = None

    @property
    def whole(self) -> bool:
        return self._done or bool(self.finish_reason)

    @property
    def enough(self) -> bool:
        """Nothing further needs to be read: the end was announced, it failed, or more came than fits."""
        return self._done or self._text.full or self.complaint is not None

    def take_event(self, data: bytes) -> None:
        """The data of one event. Raises NoCompletion."""
        if self.enough:
            return
        if data.strip() == _DONE:
            self._done = True
            return
        try:
            self._take(_read(data))
        except NoCompletion:
            if not self.whole:
                raise

    def take_whole(self, body: bytes) -> None:
        """An answer in one body. Raises NoCompletion."""
        completion = _read(body)
        if completion.choices is None and completion.error is None:
            raise NoCompletion("the answer is JSON, but no completion")
        self._take(completion)
        self._done = True

    def text(self) -> str:
        return self._text.finish(model_stopped=self.finish_reason == "length")

    def _take(self, completion: _Completion) -> None:
        if completion.error is not None and not self.whole:
            self.complaint = _said(completion.error) or "no reason given"
        for choice in (completion.choices or [])[:1]:
            self._text.add(_text_of(choice))
            self.finish_reason = choice.finish_reason or self.finish_reason


def complaint(body: bytes) -> str:
    """The endpoint's words from the body of a refusal; empty where there are none to be read."""
    try:
        refusal = _refusal.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ""
    said = "" if refusal.error is None else _said(refusal.error)
    return said or refusal.message or refusal.detail or ""


def _read(data: bytes) -> _Completion:
    try:
        return _completion.decode(data)
    except (msgspec.DecodeError, RecursionError):
        raise NoCompletion("the answer makes no sense: not the JSON of a completion") from None


def _said(error: _Words | str) -> str:
    return error if isinstance(error, str) else error.message or ""


def _text_of(choice: _Choice) -> str:
    said = choice.delta or choice.message
    content = None if said is None else said.content
    if isinstance(content, list):
        return "".join(piece.text for piece in content)
    return content or ""
