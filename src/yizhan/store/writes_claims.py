"""The writes of idempotency keys that are no message's: which id a key stands for. Rare, so they run alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from yizhan.errors import IdempotencyConflict
from yizhan.ports import Claim
from yizhan.store.queries import notes
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet


@dataclass(frozen=True, slots=True)
class SettleClaim:
    label: ClassVar[str] = "claim"
    alone: ClassVar[bool] = True
    claim: Claim

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> str:
        """The id of the first claim. Raises IdempotencyConflict if that was for something else."""
        claim = self.claim
        known = rows.connection.execute(notes.claim_by_key(claim.kind, claim.key)).first()
        if known is None:
            rows.changes += 1
            rows.connection.execute(notes.add_claim(claim))
            return claim.id
        name, body_sha256 = known
        if body_sha256 != claim.body_sha256:
            raise IdempotencyConflict(
                f"The idempotency key was used before, for {name} with another body.",
                "Use a new key for a new request.",
            )
        return str(name)


@dataclass(frozen=True, slots=True)
class DropClaim:
    """Frees the key, unless another claim has taken it meanwhile."""

    label: ClassVar[str] = "unclaim"
    alone: ClassVar[bool] = True
    claim: Claim

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, rows: WorkingSet) -> None:
        rows.changes += 1
        rows.connection.execute(notes.erase_claim(self.claim))
