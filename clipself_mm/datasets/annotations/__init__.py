"""Annotation files and vocabularies: read and checked, without an image."""
