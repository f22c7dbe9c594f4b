"""CLIP's weights on disk: which model is meant, reading any known file, names of every layout."""
