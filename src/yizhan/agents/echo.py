"""Says what it was told. For trying the roads without a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from yizhan.ports import Piece, Question, Text


class Echo:
    """Answers with the question's own text: merged messages as one, other items by the name the text gives them."""

    name = "echo"

    async def answer(self, question: Question) -> AsyncGenerator[Piece]:
        if question.text.strip():
            yield Text(question.text)

    async def close(self) -> None:
        """Holds nothing."""
