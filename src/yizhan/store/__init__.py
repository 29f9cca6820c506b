"""The cellar: everything that must outlive the process, on SQLite or PostgreSQL."""

from yizhan.store.open import open_store
from yizhan.store.store import SqlStore
from yizhan.store.writer import CommitGate

__all__ = ["CommitGate", "SqlStore", "open_store"]
