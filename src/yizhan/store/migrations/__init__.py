"""Numbered migrations, forward only. A new one is a file in `versions/` and its number at the end of `KNOWN`."""

KNOWN = ("0001",)
HEAD = KNOWN[-1]
