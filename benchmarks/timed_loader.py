"""Loaders that add up the time of each step, and what a sample costs at least."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.registry import TRANSFORMS
from torch import Tensor

from benchmarks.reference_loader import ReferenceLoader
from clipself_mm.datasets.transforms.crop_regions import whole_pixels
from clipself_mm.datasets.transforms.resize_backends import longest_side_size
from clipself_mm.distillers import RegionPreprocessor

BATCH = 2


def resize_products(height: int, width: int, size: int) -> int:
    """Multiplications of the antialiased bicubic resize of an RGB picture, rows first.

    A value needs 4 neighbours in each of the two passes, times the factor where it shrinks.

    Args:
        height: Height in pixels.
        width: Width in pixels.
        size: New length of the longest side in pixels.
    """
    new_height, new_width = longest_side_size(height, width, size)
    taps = 4 * max(max(height, width) / size, 1)
    return round(3 * new_width * taps * (height + new_height))


def sample_counts(results: dict, size: int, crop_size: int) -> Counter:
    """Count what a sample needs at least: regions, decoded bytes, multiplications of the resizes.

    Args:
        results: A sample whose regions are drawn.
        size: Longest side of the student's image in pixels.
        crop_size: Side of a crop in pixels.
    """
    height, width = results['ori_shape']
    corners = [whole_pixels(box, height, width) for box in results['crop_boxes_src']]
    products = sum(resize_products(y1 - y0, x1 - x0, crop_size) for x0, y0, x1, y1 in corners)
    return Counter(
        regions=len(corners),
        decoded_bytes=3 * height * width,
        crop_products=products,
        image_products=resize_products(height, width, size),
    )


class TimedLoader:
    """Makes batches step by step and adds up the processor time of each step.

    Args:
        steps: Names and functions from a sample to a sample.
        collate: From a list of samples to a batch.
    """

    def __init__(
        self, steps: list[tuple[str, Callable[[dict], dict]]], collate: Callable[[list], object]
    ) -> None:
        self.steps = steps
        self.collate = collate
        self.seconds: Counter = Counter()

    def batch(self, samples: list[dict]) -> object:
        """Make one batch."""
        made = []
        for sample in samples:
            results = dict(sample)
            for name, step in self.steps:
                start = time.process_time()
                results = step(results)
                self.seconds[name] += time.process_time() - start
            made.append(results)
        start = time.process_time()
        batch = self.collate(made)
        self.seconds['collate'] += time.process_time() - start
        return batch


def build_loaders(pipeline: list[dict]) -> dict[str, TimedLoader]:
    """Build `reference`, `exact` (Pillow) and `fast` (torch) of a pipeline of the configs."""
    step_of = {step['type']: step for step in pipeline}
    loaders = {
        name: TimedLoader(
            [
                (step['type'], TRANSFORMS.build(dict(step, backend=backend)))
                if step['type'] in ('CropRegions', 'ResizeLongest')
                else (step['type'], TRANSFORMS.build(dict(step)))
                for step in pipeline
            ],
            pseudo_collate,
        )
        for name, backend in (('exact', 'pillow'), ('fast', 'torch'))
    }
    reference = ReferenceLoader(
        TRANSFORMS.build(dict(step_of['SampleRegions'])),
        size=step_of['ResizeLongest']['size'],
        crop_size=step_of['CropRegions']['size'],
        max_regions=step_of['SampleRegions']['regions']['max_regions'],
    )
    return {'reference': TimedLoader(reference.steps, reference.collate), **loaders}


def batch_bytes(batch: list[Tensor] | dict) -> int:
    """Bytes of the pixels in a batch of either kind."""
    if isinstance(batch, dict):
        batch = [part for parts in batch['inputs'].values() for part in parts]
    return sum(part.nbytes for part in batch)


def measure(pipeline: list[dict], samples: list[dict], rounds: int) -> dict[str, dict]:
    """Run the loaders in turn.

    Args:
        pipeline: Of a config of the kind patches or proposals.
        samples: What a data set starts with.
        rounds: Passes over the samples, each with other regions, after one to warm up.

    Returns:
        Of each loader `images_per_second`, `ms` per image by step and `bytes` per image that leave
        it; in `counts` the means of `sample_counts` and `normalise_ms`, the time per image
        of `RegionPreprocessor` on the processor, which the reference spends in the loader.
    """
    loaders = build_loaders(pipeline)
    step_of = {step['type']: step for step in pipeline}
    size, crop_size = (step_of[name]['size'] for name in ('ResizeLongest', 'CropRegions'))
    model_side = TimedLoader([], RegionPreprocessor(image_size=size))
    counting = loaders['exact'].steps[:2]
    timers = {**loaders, 'model': model_side}
    passes: dict[str, list[Counter]] = {name: [] for name in timers}
    counts, travelled = Counter(), Counter()
    for number in range(rounds + 1):
        for timer in timers.values():
            timer.seconds = Counter()
        for first in range(0, len(samples), BATCH):
            drawn = [
                dict(sample, rng_key=(0, number, first + place))
                for place, sample in enumerate(samples[first : first + BATCH])
            ]
            for name, loader in loaders.items():
                batch = loader.batch(drawn)
                travelled[name] += batch_bytes(batch)
            start = time.process_time()
            model_side.collate(batch)
            model_side.seconds['normalise'] += time.process_time() - start
            for results in drawn:
                for _, step in counting:
                    results = step(results)
                counts += sample_counts(results, size, crop_size)
        for name, timer in timers.items():
            if number:
                passes[name].append(timer.seconds)
    images = (rounds + 1) * len(samples)
    outcome = {
        name: dict(
            images_per_second=len(samples) / float(np.median([p.total() for p in passes[name]])),
            bytes=travelled[name] / images,
            ms={
                step: 1e3 * float(np.median([p[step] for p in passes[name]])) / len(samples)
                for step in passes[name][0]
            },
        )
        for name in loaders
    }
    means = {name: value / images for name, value in counts.items()}
    normalise = float(np.median([p.total() for p in passes['model']])) / len(samples)
    return dict(outcome, counts=dict(means, normalise_ms=1e3 * normalise))
