"""`make bench`: measures, prints each figure beside its target, and says plainly what falls short."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.figures import ALL, Figure


async def _measure(names: list[str]) -> list[Figure]:
    figures = []
    for measure in ALL:
        if not names or measure.__name__ in names:
            print(f"measuring {measure.__name__} …", file=sys.stderr, flush=True)
            figures += await measure()
    return figures


def _line(figure: Figure) -> str:
    sign = "≥" if figure.at_least else "≤"
    verdict = "holds" if figure.holds else "FALLS SHORT"
    return f"{figure.name:58} {figure.value:10.{figure.digits}f} {figure.unit:4} {sign} {figure.target:6g}   {verdict}"


def main() -> int:
    """Exit code 1 if any figure falls short."""
    figures = asyncio.run(_measure(sys.argv[1:]))
    for figure in figures:
        print(_line(figure))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
