"""Seeded mutations of the files that users give."""
