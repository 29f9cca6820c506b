"""What an OpenAI-compatible endpoint says, piece by piece: chunks, whole answers, tools, complaints. Pure.

Tolerant of what it does not know, strict about what it reads: an unknown member is ignored, a member of
the wrong type makes the piece a NoCompletion.
"""

from __future__ import annotations

import msgspec

from yizhan.agents.answer import AnswerText
from yizhan.agents.shapes import Shape
from yizhan.agents.sse import Event
from yizhan.ports import Piece, Progress, Text

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
    """A chunk of a stream (`delta`), a whole answer (`message`), or a complaint (`error`). `cow_event`: what CowAgent
    tells beside them."""

    choices: list[_Choice] | None = None
    error: _Words | str | None = None
    cow_event: object = None


class _Fault(msgspec.Struct):
    """What FastAPI finds wrong with a request; it repeats what it was given as well, which is not ours to tell."""

    msg: str = ""
    loc: list[str | int] = []

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.loc))}: {self.msg}"


class _Refusal(msgspec.Struct):
    """The shapes in which endpoints say no."""

    error: _Words | str | None = None
    message: str | None = None
    detail: str | list[_Fault] | None = None


class _Tool(msgspec.Struct):
    """hermes-agent tells in `hermes.tool.progress` which tool it uses (`gateway/platforms/api_server.py`, 0.19.0)."""

    tool: str = ""
    label: str = ""
    status: str = ""


class _CowEvent(msgspec.Struct):
    """What CowAgent does meanwhile (`tool_start`), and why it fails in the middle (`error`); zhayujie/CowAgent,
    `channel/web/openai_api.py`, 2.2."""

    type: str = ""
    name: str = ""
    message: str = ""


_completion = Shape(_Completion)
_refusal = Shape(_Refusal)
_tool = Shape(_Tool)
_TOOL_EVENT = b"hermes.tool.progress"
_NO_WORDS = (b"", b"<", b"{", b"[")
"""How a body begins that is nothing, a page, or JSON."""
_FAILED = "error"
"""Not of OpenAI's list, but agents end a stream with it when they fail in the middle."""


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

    @property
    def silent(self) -> bool:
        """No text has come that could be said."""
        return self._text.silent

    def take_event(self, event: Event) -> list[Piece]:
        """What one event says. Raises NoCompletion."""
        if self.enough:
            return []
        if event.name == _TOOL_EVENT:
            return _progress(event.data)
        if event.data.strip() == _DONE:
            self._done = True
            return []
        try:
            return self._take(_read(event.data))
        except NoCompletion:
            if not self.whole:
                raise
            return []

    def take_whole(self, body: bytes) -> list[Piece]:
        """What an answer in one body says. Raises NoCompletion."""
        completion = _read(body)
        if completion.choices is None and completion.error is None:
            raise NoCompletion("the answer is JSON, but no completion")
        said = self._take(completion)
        self._done = True
        return said

    def end(self) -> list[Piece]:
        """What remains to be said when the answer is whole."""
        return _spoken(self._text.end(model_stopped=self.finish_reason == "length"))

    def _take(self, completion: _Completion) -> list[Piece]:
        choice = (completion.choices or [_Choice()])[0]
        reason = choice.finish_reason or ""
        beside = _beside(completion.cow_event)
        failed = completion.error is not None or beside.type == _FAILED
        if not self.whole and (reason == _FAILED or (failed and reason != "length")):
            self.complaint = _said(completion.error) or beside.message or "no reason given"
            return []
        self.finish_reason = reason or self.finish_reason
        steps: list[Piece] = [Progress(beside.name)] if beside.type == "tool_start" and beside.name else []
        return [*steps, *_spoken(self._text.add(self._text_of(choice)))]

    def _text_of(self, choice: _Choice) -> str:
        """The choice's text. A whole message after its pieces repeats them, and is passed over."""
        said = choice.delta or (choice.message if self.silent else None)
        content = None if said is None else said.content
        if isinstance(content, list):
            return "".join(piece.text for piece in content)
        return content or ""


def _spoken(text: str) -> list[Piece]:
    return [Text(text)] if text else []


def _progress(data: bytes) -> list[Piece]:
    """The beginning of a tool's use; its end, and what makes no sense, is no news."""
    tool = _tool.read(data) or _Tool()
    told = tool.label or tool.tool
    return [Progress(told)] if told and tool.status != "completed" else []


def _beside(event: object) -> _CowEvent:
    """What makes no sense is no news."""
    try:
        return msgspec.convert(event, _CowEvent)
    except msgspec.ValidationError:
        return _CowEvent()


def complaint(body: bytes) -> str:
    """The endpoint's words from the body of a refusal: those of a shape that we know, or plain ones; empty where there
    are none to be read."""
    if body.lstrip()[:1] in _NO_WORDS:
        refusal = _refusal.read(body) or _Refusal()
        return _said(refusal.error) or refusal.message or _listed(refusal.detail)
    return body.decode("utf-8", "replace")


def _listed(detail: str | list[_Fault] | None) -> str:
    return (
        "; ".join(str(fault) for fault in detail if fault.msg) if isinstance(detail, list) else detail or ""
    )


def _read(data: bytes) -> _Completion:
    completion = _completion.read(data)
    if completion is None:
        raise NoCompletion("the answer makes no sense: not the JSON of a completion")
    return completion


def _said(error: _Words | str | None) -> str:
    return error if isinstance(error, str) else (error.message or "" if error else "")
