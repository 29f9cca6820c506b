"""From what somebody wants said to what will be stored: the text checked and split into parts, the ids that all
attempts keep, the end of life. Nothing is promised yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from yizhan.core.paging import pages
from yizhan.core.text import clean, shorten
from yizhan.errors import InvalidRequest, TextEmpty, TextTooLong
from yizhan.model import MessageClass, MessageId, Target, TurnId
from yizhan.ports import Chance, Clock, Draft, Platform
from yizhan.runtime.views import Order


class Drafts:
    """Makes messages of orders.

    Args:  lifetimes_ms    how long a message of each class waits before it expires
           text_max_chars  the longest text that is accepted for one message
           part_max_chars  the longest part, None: as the platform declares it
           render          texts are written so that the platform's client shows them well
           number_parts    the parts of a message are numbered where there are several
    """

    def __init__(
        self,
        clock: Clock,
        chance: Chance,
        platforms: Mapping[str, Platform],
        lifetimes_ms: Mapping[MessageClass, int],
        text_max_chars: int,
        part_max_chars: int | None,
        render: bool = True,
        number_parts: bool = True,
    ) -> None:
        self.text_max_chars = text_max_chars
        self._lifetimes_ms = lifetimes_ms
        self._clock = clock
        self._chance = chance
        self._platforms = platforms
        self._part_max_chars = part_max_chars
        self._render = render
        self._number_parts = number_parts

    def checked(self, order: Order) -> Order:
        """The order with its text as it can be accepted. Raises TextTooLong."""
        text = clean(order.text)
        if len(text) > self.text_max_chars:
            raise TextTooLong(
                f"The text has {len(text)} characters; at most {self.text_max_chars} are accepted.",
                "Shorten it, send it in several messages, or raise delivery.text_max_chars.",
            )
        return order if text == order.text else replace(order, text=text)

    def fit(self, text: str) -> str:
        """An agent's text as it can be accepted: cleaned, and cut visibly where it is longer than allowed."""
        return shorten(clean(text), self.text_max_chars)

    def rendered(self, target: Target, text: str) -> str:
        """The text as the chat will be given it."""
        return self._platforms[target.platform].codec.render(text) if self._render else text

    def room(self, target: Target) -> tuple[int, int]:
        """How many characters, and how many bytes, one part to this chat may have."""
        policy = self._platforms[target.platform].policy
        return self._part_max_chars or policy.text_max_chars, policy.text_max_bytes

    def parts(self, target: Target, text: str) -> tuple[str, ...]:
        """The texts that are sent for it, in order."""
        return pages(self.rendered(target, text), *self.room(target), self._number_parts)

    def draft(
        self,
        target: Target,
        order: Order,
        *,
        turn: TurnId | None = None,
        ordinal: int | None = None,
        keep_first: bool = False,
        lifetime_ms: int | None = None,
    ) -> Draft:
        """The message as it will be stored: its parts, its ids for all attempts, its end of life. Raises TextEmpty,
        InvalidRequest, UnknownChat."""
        now_ms = self._clock.now_ms()
        self._platforms[target.platform].codec.check_chat(target.chat)
        texts = self.parts(target, order.text)
        if not texts:
            raise TextEmpty("The text is empty, or nothing of it can be shown.", "Send some text.")
        expires_at_ms = order.expires_at_ms or now_ms + (lifetime_ms or self._lifetimes_ms[order.klass])
        if expires_at_ms <= max(now_ms, order.not_before_ms or 0):
            raise InvalidRequest("expires_at is not later than now and not_before.", "Choose a later time.")
        message_id = MessageId(self._chance.new_id("m"))
        return Draft(
            id=message_id,
            target=target,
            klass=order.klass,
            source=order.source,
            text=order.text,
            texts=texts,
            client_ids=tuple(f"yizhan:{message_id}:{no}" for no in range(1, len(texts) + 1)),
            created_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
            body_sha256=_fingerprint(target, order) if order.idempotency_key else "",
            idempotency_key=order.idempotency_key,
            in_reply_to=order.in_reply_to,
            turn_id=turn,
            ordinal=ordinal,
            not_before_ms=order.not_before_ms,
            keep_first=keep_first,
        )


def _fingerprint(target: Target, order: Order) -> str:
    """What an idempotency key stands for: everything the caller asked, but not who asked."""
    asked = (
        str(target),
        order.text,
        order.klass,
        order.not_before_ms,
        order.expires_at_ms,
        order.in_reply_to,
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()
