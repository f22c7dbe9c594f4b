"""The photos of a recording, written to disk as the data sets expect them."""

import numpy as np
from PIL import Image


def numbered(arrays, prefix):
    """Return arrays `<prefix>0`, `<prefix>1`, ... as a list."""
    found = []
    while f'{prefix}{len(found)}' in arrays:
        found.append(arrays[f'{prefix}{len(found)}'])
    assert found, f'no array {prefix}0'
    return found


def save_lossless(path, pixels):
    """Write pixels as PNG, whatever the ending of the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, format='PNG')
