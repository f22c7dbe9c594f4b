"""Conversion of proposals of other programs to a json of boxes."""
