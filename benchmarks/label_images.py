r"""Images a second of tools/label_images.py against mmdet's inferencer, and where the time goes.

    python -m benchmarks.label_images [CONFIG CHECKPOINT] [--photo W H] [--device cuda:0]

Both read the same JPEG files, smooth noise with shapes, in a temporary folder. They take turns, and
the medians over the rounds are printed: images a second by the clock, and processor time per image
of all processes, which other programs on the machine disturb little. mmdet's `DetInferencer` reads
and detects in one process, one image after the other by default, and returns its predictions; ours
also writes the journal and the json. The last line is milliseconds per image of each step, one
after the other in one process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmengine.dataset import pseudo_collate

from benchmarks.machine import clock
from benchmarks.region_photos import write_samples
from clipself_mm import OpenVocabDetector
from clipself_mm.datasets.input_images import InputImage
from clipself_mm.detection.image_detections import of_sample
from clipself_mm.detection.open_vocab_detector import SHIPPED
from clipself_mm.labelling import FORMATS, Journal, label_images, open_source
from clipself_mm.labelling.runner import labels_of
from clipself_mm.model_index import find_model


def parse() -> argparse.Namespace:
    """Reads the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='?', default=SHIPPED)
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--images', type=int, default=64)
    parser.add_argument('--photo', type=int, nargs=2, default=(640, 480), metavar=('W', 'H'))
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 2])
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


class Comparison:
    """The two sides on the images of a folder.

    Args:
        options: The options of the script.
        folder: The images.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.folder = folder
        self.paths = sorted(str(path) for path in folder.iterdir())
        self.batch_size = options.batch_size
        self.detector = OpenVocabDetector(options.config, options.checkpoint, options.device)
        config, weights = options.config, options.checkpoint
        if not config.endswith('.py'):
            model = find_model(config)
            config, weights = model.config, weights or model.weights
        self.inferencer = DetInferencer(
            str(config), str(weights), options.device, show_progress=False
        )

    def infer(self, batch_size: int) -> None:
        """MMDet's loop."""
        self.inferencer(self.paths, batch_size=batch_size)

    def label(self, workers: int) -> None:
        """Label the folder as the tool does."""
        thresholds = dict.fromkeys(self.detector.model.classes, 0.3)
        source = open_source(str(self.folder))
        with tempfile.TemporaryDirectory() as out:
            journal = Journal(Path(out, 'journal'))
            with journal.lock():
                records = label_images(
                    self.detector, source, thresholds, journal, self.batch_size, workers
                )
                FORMATS['coco'](records, [*thresholds], Path(out), source.root)

    def steps(self) -> dict[str, float]:
        """Milliseconds per image of each step, in one process."""
        spent: dict[str, float] = defaultdict(float)
        started = clock()

        def lap(name: str) -> None:
            nonlocal started
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            now = clock()
            spent[name] += 1e3 * (now - started) / len(self.paths)
            started = now

        model, images = self.detector.model, []
        for first in range(0, len(self.paths), self.batch_size):
            batch = []
            for path in self.paths[first : first + self.batch_size]:
                pixels = InputImage(path, path).read_bgr()
                lap('decode')
                batch.append(self.detector.inferencer.pipeline(dict(img=pixels)))
                batch[-1]['data_samples'].set_metainfo(dict(img_path=path, output_name=path))
                lap('resize')
            inputs = model.data_preprocessor(pseudo_collate(batch), False)
            lap('normalise')
            with torch.no_grad():
                samples = model(**inputs, mode='predict')
            lap('forward, suppression')
            for sample in samples:
                found = of_sample(sample, model.classes, 0.3)
                images.append(labels_of(found, len(images), 1, np.full(len(model.classes), 0.3)))
            lap('boxes')
        with tempfile.TemporaryDirectory() as out:
            journal = Journal(out)
            with journal.lock(), journal.part(0) as part:
                for image in images:
                    part.add([image])
            FORMATS['coco'](journal.records(len(images)), model.classes, Path(out), None)
            lap('write')
        return dict(spent)


def processor_seconds() -> float:
    """Processor time of this process and of its ended children."""
    return sum(os.times()[:4])


def main() -> None:
    """Measures and prints."""
    options = parse()
    if options.device == 'cpu':
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_samples(Path(folder), options.images, *options.photo)
        both = Comparison(options, Path(folder))
        sides: dict[str, Callable[[], None]] = {
            'mmdet, batch 1': lambda: both.infer(1),
            f'mmdet, batch {options.batch_size}': lambda: both.infer(options.batch_size),
        }
        for workers in options.workers:
            name = f'label_images, batch {options.batch_size}, {workers} workers'
            sides[name] = partial(both.label, workers)
        seconds: dict[str, list[float]] = defaultdict(list)
        processor: dict[str, list[float]] = defaultdict(list)
        for number in range(options.rounds + 1):
            for name, run in sides.items():
                started, used = time.perf_counter(), processor_seconds()
                run()
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - started)
                    processor[name].append(processor_seconds() - used)
        both.steps()
        spent = both.steps()
    for name, times in seconds.items():
        rate = options.images / statistics.median(times)
        cost = 1e3 * statistics.median(processor[name]) / options.images
        print(f'{name:<36}{rate:>8.1f} images/s{cost:>8.1f} ms of a processor per image')
    print('ms per image:', ', '.join(f'{name} {ms:.1f}' for name, ms in spent.items()))


if __name__ == '__main__':
    main()
