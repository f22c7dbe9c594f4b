"""CLIP weights on disk: finding a model, reading files, renaming keys of every layout."""
