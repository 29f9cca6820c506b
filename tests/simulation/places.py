"""Where something happens in a plan."""

from __future__ import annotations

Place = tuple[int, int]
"""(account, chat) by number."""
