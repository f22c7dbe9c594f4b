"""Measurements of time, memory and agreement, each a command."""
