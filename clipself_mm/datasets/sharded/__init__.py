"""Tar shards of images (WebDataset): writing, index, order and reading."""
