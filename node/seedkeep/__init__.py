"""Seedkeep: keep public research data alive, together."""

__version__ = "0.1.0"
