"""What WeChat's client shows of Markdown, and how a text is written so that nothing of it is swallowed. Pure.

Shown as meant: headings of four levels, bold, lists, quotes, rules, links, code spans, fenced code, small tables.
Not shown as meant, and what is written in its place (code and addresses stay as they are):

    <        swallows the rest of the line; entities and backslashes show as such        ＜, which looks alike
    a_b_c    loses its underscores, inside of words too                                  `a_b_c`
    _word_   as above                                                                    *word*
    *中文*    is garbled beside Chinese                                                   中文
    #####    is no heading                                                               bold
    ![a](b)  is no picture                                                               [a](b)
    [a](<b>) swallows the rest of the line                                               [a](b)
    tables   of many columns are cut off on the right                                    a list, one row each

Source: Tencent/openclaw-weixin #245 and src/messaging/markdown-filter.ts (2.4.9); corespeed-io/wechatbot #79;
NousResearch/hermes-agent #10308, #16951; HKUDS/nanobot 0.3.5, nanobot/channels/weixin.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from yizhan.core.markdown import (
    blocks,
    cells,
    change_prose,
    change_uncoded,
    pictures_as_links,
    stray_ticks,
    table_width,
)

TABLE_COLUMNS = 4
"""Wider tables are cut off on a phone."""
MOST_ROUNDS = 16
"""What people write is rendered in two; whatever else is written, there is an end to it."""

_AUTOLINK = re.compile(r"<(https?://[^\s<>]+)>")
_ANGLED = re.compile(r"\]\(<([^\s<>()]*)>\)")
_LED_ASTRAY = re.compile(r"\]\([^()\s`<]*<[^()\s`]*\)")
"""Where a link leads, with a mark in it that swallows the rest."""
_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)
_DEEP_HEADING = re.compile(r" {0,3}#{5,6}[ \t]")
_ESCAPED = re.compile(r"\\([_<])")
_UNDERSCORED = re.compile(r"(?<![A-Za-z0-9_*])_(?![_\s])([^_\n]+?)(?<!\s)_(?![A-Za-z0-9_])")
_NAME = re.compile(r"[\w./\\-]+", re.ASCII)
_ALNUM = re.compile(r"[A-Za-z0-9]")
_STARRED = re.compile(r"(?<![A-Za-z0-9*])\*(?![*\s])([^*\n]+?)(?<!\s)\*(?!\*)")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


def render(text: str) -> str:
    """The text as WeChat's client shows it well. Rendered again, it stays as it is."""
    for _ in range(MOST_ROUNDS):
        if (rendered := _once(text)) == text:
            break
        text = rendered
    return text


def _once(text: str) -> str:
    """Each change takes away something that would be changed, so that there is an end to it."""
    lines = [line for fenced, block in blocks(text) for line in (block if fenced else _prose(block))]
    return "\n".join(lines)


def _prose(lines: Sequence[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        width = table_width(lines[at], lines[at + 1]) if at + 1 < len(lines) else 0
        end = _table_end(lines, at) if width else at + 1
        if width > TABLE_COLUMNS:
            yield from _listed([_BREAK.sub(" ", line) for line in lines[at:end]])
        else:
            breaks = " " if width else "\n"
            yield from (_line(line, breaks) for line in lines[at:end])
        at = end


def _table_end(lines: Sequence[str], at: int) -> int:
    return next((no for no in range(at + 2, len(lines)) if "|" not in lines[no]), len(lines))


def _listed(table: Sequence[str]) -> Iterator[str]:
    """A list with one item for each row: its first cell, then what the others are called and hold."""
    names = cells(table[0])
    for row in table[2:]:
        held = [cell.replace("\\|", "|") for cell in cells(row)]
        first, *others = [*held, *[""] * len(names)][: len(names)]
        named = [
            f"{name}: {cell}" if name else cell for name, cell in zip(names[1:], others, strict=True) if cell
        ]
        yield "- " + " · ".join([f"**{first}**" if first and "*" not in first else first or "–", *named])


def _line(line: str, breaks: str) -> str:
    deep = _DEEP_HEADING.match(line)
    if deep is not None:
        title = line[deep.end() :].rstrip().rstrip("#").strip()
        line = f"**{title}**" if title and "*" not in title else title
    line = change_uncoded(line, _addresses)
    ticks = stray_ticks(line)
    return change_prose(line, lambda prose: _words(prose, breaks, ticks))


def _addresses(text: str) -> str:
    text = _ANGLED.sub(r"](\1)", _AUTOLINK.sub(r"\1", pictures_as_links(text)))
    return _LED_ASTRAY.sub(lambda found: found[0].replace("<", "%3C"), text)


def _words(prose: str, breaks: str, ticks: bool) -> str:
    prose = _ESCAPED.sub(r"\1", _BREAK.sub(breaks, prose)).replace("<", "＜")
    if "_" in prose:
        prose = _UNDERSCORED.sub(r"*\1*", prose)
        prose = _NAME.sub(_wide if ticks else _as_code, prose)
    return _STARRED.sub(lambda found: found[1] if _CJK.search(found[1]) else found[0], prose)


def _as_code(name: re.Match[str]) -> str:
    """A name keeps its underscores as code, and can be copied; a line to write on is drawn with wide ones."""
    return f"`{name[0]}`" if "_" in name[0] and _ALNUM.search(name[0]) else _wide(name)


def _wide(name: re.Match[str]) -> str:
    return name[0].replace("_", "＿")
