"""Checks of `tools/check_data.py`: whether the files of a config exist and match each other."""
