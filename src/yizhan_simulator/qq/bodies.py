"""Is the body well formed: type and content, length, links, markdown, media.

Source: bot.q.qq.com, the send pages of `autogen/api`; which links are refused from public reports.
"""

from __future__ import annotations

import re

from yizhan_simulator.qq.people import Scene
from yizhan_simulator.qq.replies import refuse
from yizhan_simulator.qq.state import QqState, Visit
from yizhan_simulator.qq.wish import MARKDOWN, MEDIA, Wish
from yizhan_simulator.replies import text
from yizhan_simulator.state import Json, Told

_URL = re.compile(r"(?i)\b(?:https?://|www\.)\S|\b[a-z0-9-]+\.(?:com|cn|net|org|io|dev|ai|top|xyz)\b")
_LINK = re.compile(r"\]\([^)]*\)")


def malformed(state: QqState, visit: Visit, wish: Wish) -> Told | None:
    if not _fits(visit.ex.body, wish):
        return refuse(visit, "type and content", 22006 if wish.scene in (Scene.C2C, Scene.GROUP) else 50006)
    if len(wish.words) > state.knobs.text_max:
        return refuse(visit, "text too long", 40054007)
    if wish.kind == MARKDOWN and not state.knobs.markdown:
        return refuse(visit, "markdown", 40034124)
    spared = (
        _LINK.sub("]", wish.words) if wish.kind == MARKDOWN and state.knobs.markdown_links else wish.words
    )
    if state.knobs.urls == "refuse" and _URL.search(spared):
        return refuse(visit, "url", 40034028 if wish.scene in (Scene.C2C, Scene.GROUP) else 304003)
    if wish.kind == MEDIA and not _media_is_ours(state, visit, wish):
        return refuse(visit, "file_info", 304080)
    return None


def _fits(body: Json, wish: Wish) -> bool:
    """Nulls and unknown keys are ignored: qq-botpy sends both."""
    if wish.scene in (Scene.CHANNEL, Scene.DM):
        return any(body.get(name) for name in ("content", "embed", "ark", "image", "markdown"))
    match wish.kind:
        case 0:
            return bool(text(body, "content").strip()) and not body.get("markdown")
        case 2:
            return isinstance(body.get("markdown"), dict) and not text(body, "content").strip()
        case 3 | 4:
            return isinstance(body.get("ark" if wish.kind == 3 else "embed"), dict)
        case 6:
            notify = body.get("input_notify")
            return wish.scene is Scene.C2C and isinstance(notify, dict) and bool(wish.answers)
        case 7:
            return isinstance(body.get("media"), dict)
        case _:
            return False


def _media_is_ours(state: QqState, visit: Visit, wish: Wish) -> bool:
    """An upload for a person cannot be sent to a group, nor to somebody else."""
    info = text(visit.ex.body["media"], "file_info")
    return state.uploads.get(info) == (wish.scene.value, visit.parts[0])
