"""The writes of webhooks. Rare, or one for each post that was answered, so they run alone.

What people choose and how far delivering has come are written apart, so that neither undoes the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from yizhan.errors import UnknownWebhook
from yizhan.model import Post, Webhook
from yizhan.store import rows
from yizhan.store.queries import webhooks
from yizhan.store.secrets import Seal
from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet


@dataclass(frozen=True, slots=True)
class AddWebhook:
    label: ClassVar[str] = "add_webhook"
    alone: ClassVar[bool] = True
    hook: Webhook
    seal: Seal

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, known: WorkingSet) -> Webhook:
        """As it stands on disk: one that is there already keeps its secret."""
        if (row := known.connection.execute(webhooks.webhook_by_id(self.hook.id)).first()) is not None:
            return rows.webhook_of(row, self.seal)
        known.changes += 1
        known.connection.execute(webhooks.add_webhook(), [dict(rows.webhook_values(self.hook, self.seal))])
        return self.hook


@dataclass(frozen=True, slots=True)
class ChangeWebhook:
    """What people choose; with `rewound` also from where on it goes."""

    label: ClassVar[str] = "change_webhook"
    alone: ClassVar[bool] = True
    hook: Webhook
    rewound: bool

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, known: WorkingSet) -> None:
        must_be_there(self.hook.id, known)
        values = {
            **rows.webhook_choice(self.hook),
            **(rows.webhook_progress(self.hook) if self.rewound else {}),
        }
        known.changes += 1
        known.connection.execute(webhooks.change_webhook(self.hook.id, values))


@dataclass(frozen=True, slots=True)
class NoteProgress:
    """How far delivering has come, unless somebody has set the cursor meanwhile or removed it; and what became of a
    post, which has happened in any case."""

    label: ClassVar[str] = "webhook_progress"
    alone: ClassVar[bool] = True
    hook: Webhook
    post: Post | None = None

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, known: WorkingSet) -> None:
        known.changes += 1
        values = rows.webhook_progress(self.hook)
        known.connection.execute(webhooks.change_webhook(self.hook.id, values, self.hook.generation))
        if self.post is not None and _is_there(self.hook.id, known):
            known.connection.execute(webhooks.erase_post(self.post.webhook, self.post.event))
            known.connection.execute(webhooks.add_post(), [dict(rows.post_values(self.post))])


@dataclass(frozen=True, slots=True)
class RemoveWebhook:
    label: ClassVar[str] = "remove_webhook"
    alone: ClassVar[bool] = True
    webhook: str

    def wants(self, wants: Wants) -> None:
        pass

    def apply(self, known: WorkingSet) -> None:
        must_be_there(self.webhook, known)
        known.changes += 1
        known.connection.execute(webhooks.erase_webhook(self.webhook))
        known.connection.execute(webhooks.erase_posts(self.webhook))


def must_be_there(webhook: str, known: WorkingSet) -> None:
    """Raises UnknownWebhook."""
    if not _is_there(webhook, known):
        raise UnknownWebhook(f"There is no webhook {webhook}.", "See GET /v1/webhooks.")


def _is_there(webhook: str, known: WorkingSet) -> bool:
    return known.connection.execute(webhooks.webhook_by_id(webhook)).first() is not None
