"""Yizhan: a relay station that answers for every message it has accepted."""

__version__ = "0.1.0"
__all__ = ["__version__"]
