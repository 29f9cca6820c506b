"""API keys: the one of the home, which may do everything, and further ones with scopes, kept as hashes.

A key's text is 32 random bytes; a plain SHA-256 of it can be neither guessed nor reversed, so nothing
slower is needed. The hashes are read once and then kept in memory: only this process writes them, for
there is one gateway per store.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from yizhan.core.contract import JsonObject, time_text
from yizhan.errors import IdempotencyConflict
from yizhan.model import ApiKey
from yizhan.ports import Chance, Clock, Store
from yizhan.runtime.patience import to_the_end
from yizhan.runtime.repeats import Asked, Repeats
from yizhan.web import shapes
from yizhan.web.exchange import Body, Word, answer, read_body, takes
from yizhan.web.repeats import ONCE, asked_of

router = APIRouter(tags=["keys"])

Scope = Literal["read", "send", "admin"]

ALL_SCOPES = frozenset({"read", "send", "admin"})
NO_SCOPES: frozenset[str] = frozenset()
KEY_PREFIX = "yz_"


class KeyRing:
    """Tells what a presented key may do. `add` and `revoke` write through to the store."""

    def __init__(self, store: Store, clock: Clock, chance: Chance, own_key: str) -> None:
        self._store = store
        self._clock = clock
        self._chance = chance
        self._repeats = Repeats(store, clock)
        self._own = _digest(own_key.encode())
        self._scopes: dict[str, frozenset[str]] | None = None
        self._changes = 0
        self._revoked: set[str] = set()
        self._going_on: set[tuple[str, Callable[[], None]]] = set()

    async def scopes_of(self, presented: bytes) -> frozenset[str]:
        """Scopes of a key, none for one that is unknown or revoked. Raises StoreError.

        The file's key is compared in constant time; others are looked up by their hash, whose timing
        tells nothing about the key.
        """
        digest = _digest(presented)
        if hmac.compare_digest(digest, self._own):
            return ALL_SCOPES
        scopes = self._scopes if self._scopes is not None else await self._read()
        return scopes.get(digest, NO_SCOPES)

    @to_the_end
    async def add(self, name: str, scopes: frozenset[str], asked: Asked | None = None) -> tuple[ApiKey, str]:
        """A new key and its text, which is nowhere kept. Raises IdempotencyConflict: it was made before."""
        async with self._repeats.settled(asked, self._chance.new_id("k")) as settled:
            if asked is not None and any(key.id == settled for key in await self._store.keys()):
                raise IdempotencyConflict(
                    f"The key {settled} was made under this idempotency key. Its text was shown then, and is not kept.",
                    f"If it got lost, revoke it (yizhan key revoke {settled}) and make another one.",
                )
            text = KEY_PREFIX + self._chance.token_hex(32)
            digest = _digest(text.encode())
            key = ApiKey(settled, name, digest, scopes, self._clock.now_ms())
            await self._store.add_key(key)
        self._forget()
        return key, text

    @to_the_end
    async def revoke(self, key_id: str) -> ApiKey:
        """Ends a key at once. Raises UnknownKey."""
        key = await self._store.revoke_key(key_id, self._clock.now_ms())
        self._forget()
        self._revoked.add(key.sha256)
        for digest, end in tuple(self._going_on):
            if digest == key.sha256:
                end()
        return key

    @contextmanager
    def while_good(self, presented: bytes, end: Callable[[], None]) -> Iterator[None]:
        """For an answer that goes on after its key was looked at: `end` is called when the key is revoked."""
        listening = _digest(presented), end
        self._going_on.add(listening)
        if listening[0] in self._revoked:
            end()
        try:
            yield
        finally:
            self._going_on.discard(listening)

    async def all(self) -> tuple[ApiKey, ...]:
        return await self._store.keys()

    def _forget(self) -> None:
        self._scopes = None
        self._changes += 1

    async def _read(self) -> dict[str, frozenset[str]]:
        """Scopes by hash. What was read is kept only if no key changed while it was read."""
        before = self._changes
        keys = await self._store.keys()
        scopes = {key.sha256: key.scopes for key in keys if key.revoked_at_ms is None}
        if before == self._changes:
            self._scopes = scopes
        return scopes


def key_in(authorization: bytes) -> bytes | None:
    """The key that the header presents; None: it is of another kind."""
    kind, _, key = authorization.partition(b" ")
    return key.strip() if kind.lower() == b"bearer" else None


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


class KeyBody(Body):
    """A key to make. `admin` includes the other two."""

    name: Annotated[Word, Field(max_length=100)] = Field(description="what the key is for")
    scopes: list[Scope] = Field(min_length=1, max_length=3)


def key_object(key: ApiKey) -> JsonObject:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": time_text(key.created_at_ms),
        "revoked_at": time_text(key.revoked_at_ms),
    }


def ring_of(request: Request) -> KeyRing:
    ring = request.app.state.keys
    assert isinstance(ring, KeyRing)
    return ring


@router.get("/v1/keys", responses={200: {"model": shapes.KeyList}})
async def list_keys(request: Request) -> Response:
    """The keys made here, revoked ones too; never their text."""
    return answer({"items": [key_object(key) for key in await ring_of(request).all()]})


@router.post(
    "/v1/keys",
    status_code=201,
    responses={201: {"model": shapes.KeyAdded}},
    openapi_extra=takes(KeyBody) | ONCE,
)
async def add_key(request: Request) -> Response:
    """Make a key. Its text is in this answer and nowhere else."""
    body = await read_body(request, KeyBody)
    asked = asked_of(request, "key", body)
    key, text = await ring_of(request).add(body.name, frozenset(body.scopes), asked)
    return answer(key_object(key) | {"key": text}, 201)


@router.delete("/v1/keys/{key_id}", responses={200: {"model": shapes.Key}})
async def revoke_key(request: Request, key_id: Word) -> Response:
    """Refuse a key from now on."""
    return answer(key_object(await ring_of(request).revoke(key_id)))
