"""Decisions. No await, no I/O, no clock, no chance: `now_ms` and `jitter` are arguments."""
