"""Atomic writes and safe reading of pickles."""
