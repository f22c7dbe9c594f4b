"""Proposals of other programs: read, matched with images, written as a json of boxes."""
