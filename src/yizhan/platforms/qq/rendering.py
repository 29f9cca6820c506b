"""How a text is written so that QQ's client shows it, and does nothing else with it. Pure.

QQ shows Markdown where a bot may send it (`forms.py`) and the marks themselves elsewhere, so text stays as it is, but
for two things:

    <@…>, <qqbot-…/>, <#…>, <emoji:…>   are orders to the client: to mention somebody or everybody, to put words
                                        into somebody's input; a text must not give orders   ＜, which looks alike
    ![a](b)                             wants sizes and an address that is registered         [a](b)

Source: bot-docs (2025-04-21) and the wiki bot.q.qq.com (2026), "文本交互" and "Markdown".
"""

from __future__ import annotations

import re

from yizhan.core.markdown import blocks, change_uncoded, pictures_as_links

_ORDER = re.compile(r"<(?=@|#|/?qqbot-|emoji:|faceType)", re.IGNORECASE)


def render(text: str) -> str:
    """The text as QQ's client shows it well. Rendered again, it stays as it is."""
    lines = [
        line if fenced else change_uncoded(line, pictures_as_links)
        for fenced, block in blocks(text)
        for line in block
    ]
    return _ORDER.sub("＜", "\n".join(lines))
