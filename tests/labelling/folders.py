"""Folders of images, and runs of the labelling on them."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from clipself_mm.labelling import FORMATS, Journal, label_images, open_source
from tests.commands import load_tool

TEXTS = ('red thing', 'blue thing')
THRESHOLDS = dict.fromkeys(TEXTS, 0.25)
NAMES = [*(f'a/{n}.jpg' for n in range(5)), *(f'b/c/{n}.png' for n in range(5))]
BROKEN = 'b/0 torn.jpg'


def noise(width=64, height=48, seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def write_photos(folder):
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(*((64, 48) if number % 2 else (40, 60)), seed=number).save(path)
    content = (folder / NAMES[0]).read_bytes()
    (folder / BROKEN).write_bytes(content[: len(content) // 2])
    return folder


def run(detector, photos, out, formats=('coco',), thresholds=THRESHOLDS, **options):
    """Label a folder in this process and write the files."""
    options = dict(batch_size=2, workers=0) | options
    source = open_source(str(photos), leave_out=str(out))
    records = label_images(detector, source, thresholds, Journal(out / 'journal'), **options)
    for name in formats:
        FORMATS[name](records, [*thresholds], out, source.root)
    return records


def run_tool(monkeypatch, detector, *words):
    """Main of tools/label_images.py with a detector that is loaded already."""
    tool = load_tool('label_images')
    monkeypatch.setattr(
        'clipself_mm.detection.detector_options.OpenVocabDetector', lambda *args: detector
    )
    monkeypatch.setattr(sys, 'argv', ['label_images.py', *map(str, words), '--workers', '0'])
    return tool.main()


def contents(folder):
    """Path -> bytes of all files below a folder, but the journal; links by their target."""
    found = {}
    for path in sorted(Path(folder).rglob('*')):
        name = path.relative_to(folder).as_posix()
        if not path.is_dir() and not name.startswith('journal/'):
            found[name] = str(path.resolve()) if path.is_symlink() else path.read_bytes()
    return found
