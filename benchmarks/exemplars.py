r"""Classes given by pictures on Shapes-OV val: the shipped detector, and its tower on regions.

    python tools/make_shapes_ov.py
    python benchmarks/exemplars.py [--seeds 0 1 2] [--sources]

Pictures are boxes of training scenes, of all classes. What does not depend on the classes is
computed once: the features of regions, and those of the detector's boxes before its classifier.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import clipself_mm  # noqa: F401 - registers the types of configs
from clipself_mm.clip import VisionTower, build_tower
from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding, mean_direction
from clipself_mm.datasets.exemplars import Exemplar, Exemplars, read_exemplar_boxes
from clipself_mm.datasets.transforms.crop_regions import fit_square
from clipself_mm.models import embed_exemplars
from clipself_mm.shapes import NOVEL_CLASSES, THING_CLASSES

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs' / 'shapes'
TINY_CLIP = 'pkg:clipself_mm.shapes/tiny_clip'
SIZE = 128
"""Longest side of the images in both configs."""

Pictures = Mapping[str, ExemplarEmbedding]
Measure = Callable[[Sequence[str], Pictures], str]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Measure classes given by pictures.')
    parser.add_argument('--data', type=Path, default=Path('data/shapes_ov'))
    parser.add_argument('--counts', type=int, nargs='+', default=[1, 5, 20], help='per class')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='of the pictures')
    parser.add_argument(
        '--sources', action='store_true', help='compare what embeds a picture instead'
    )
    return parser.parse_args()


class DetectorScores:
    """Box AP50 novel / base / all of the shipped detector for any class vectors.

    Args:
        data: Folder of Shapes-OV.
    """

    def __init__(self, data: Path) -> None:
        config = Config.fromfile(CONFIGS / 'fvit_tiny_shipped_shapes-ov.py')
        config.work_dir, config.log_level = 'work_dirs/benchmark_exemplars', 'ERROR'
        config.test_dataloader.dataset.data_root = f'{data}/'
        config.test_evaluator.update(ann_file=str(data / 'annotations/instances_val.json'))
        config.test_dataloader.batch_size = 1
        runner = Runner.from_cfg(config)
        runner.load_or_resume()
        self.model = runner.model.eval()
        self.evaluator = runner.build_evaluator(config.test_evaluator)
        loader = runner.build_dataloader(config.test_dataloader)
        self.evaluator.dataset_meta = loader.dataset.metainfo
        self.head = self.model.roi_head.bbox_head
        self.decode = self.head.predict_by_feat
        self.cached: list[tuple] = []
        found: dict[str, Any] = {}
        hooks = [
            self.head.fc_cls.register_forward_hook(
                lambda _, args, __: found.update(features=args[0])
            ),
            self.model.roi_head.clip_roi_extractor.register_forward_hook(
                lambda _, __, output: found.update(clip=output.flatten(1))
            ),
        ]

        def decode(**kwargs: object) -> list:
            found['decode'] = kwargs
            return self.decode(**kwargs)

        self.head.predict_by_feat = decode
        for batch in loader:
            with torch.no_grad():
                (sample,) = self.model.test_step(batch)
            self.cached.append((sample, dict(found)))
        self.head.predict_by_feat = self.decode
        for hook in hooks:
            hook.remove()

    @torch.no_grad()
    def __call__(self, names: Sequence[str], pictures: Pictures) -> str:
        """AP50 in %."""
        self.model.set_vocabulary(names, pictures)
        for sample, found in self.cached:
            logits = self.head.fc_cls(found['features'])
            scores = (self.head.join_clip(logits, found['clip']),)
            (result,) = self.decode(**found['decode'] | {'cls_scores': scores})
            done = copy.copy(sample)
            done.pred_instances = result
            self.evaluator.process(data_samples=[done])
        found = self.evaluator.evaluate(len(self.cached))
        keys = [
            next(key for key in found if key.endswith(end))
            for end in ('novel_ap50', 'base_ap50', 'all_ap50')
        ]
        return ' / '.join(f'{100 * found[key]:.1f}' for key in keys)


class RegionScores:
    """Top-1 of annotated boxes, mean over novel / base / all classes, by a tower's dense features.

    Args:
        data: Folder of Shapes-OV.
        tower: The tower.
        text: Embeddings of names: names to (K, D).
    """

    def __init__(
        self, data: Path, tower: VisionTower, text: Callable[[Sequence[str]], Tensor]
    ) -> None:
        found = read_exemplar_boxes(str(data / 'annotations/instances_val.json'), str(data / 'val'))
        by_box = {
            f'{label} {number}': [exemplar]
            for label, name in enumerate(THING_CLASSES)
            for number, exemplar in enumerate(found[name])
        }
        vectors = embed_exemplars(tower, by_box, SIZE)
        self.features = torch.stack(list(vectors.values()))
        self.labels = np.array([int(key.split()[0]) for key in vectors])
        self.text = text

    def __call__(self, names: Sequence[str], pictures: Pictures) -> str:
        """Accuracies in %."""
        table = torch.stack(
            [
                pictures[name].blend(row) if name in pictures else row
                for name, row in zip(names, self.text(names), strict=True)
            ]
        )
        predicted = (self.features @ table.T).argmax(1).cpu().numpy()
        right = np.array(
            [(predicted[self.labels == k] == k).mean() for k in range(len(THING_CLASSES))]
        )
        novel = np.array([name in NOVEL_CLASSES for name in THING_CLASSES])
        return ' / '.join(
            f'{100 * part.mean():.1f}' for part in (right[novel], right[~novel], right)
        )


def cut_crops(exemplars: Exemplars) -> Exemplars:
    """The boxes as crops without their images."""
    return {
        name: [Exemplar(_crop(exemplar)[..., ::-1]) for exemplar in own]
        for name, own in exemplars.items()
    }


def _crop(exemplar: Exemplar) -> np.ndarray:
    x0, y0, x1, y1 = (round(edge) for edge in exemplar.box)
    return np.ascontiguousarray(exemplar.input.read_rgb()[y0:y1, x0:x1])


@torch.no_grad()
def embed_images(tower: VisionTower, exemplars: Exemplars) -> dict[str, Tensor]:
    """Means of the tower's image embeddings of crops."""
    device = next(tower.parameters()).device
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (tower.mean, tower.std))
    found = {}
    for name, own in exemplars.items():
        crops = torch.from_numpy(fit_square([_crop(e) for e in own], tower.image_size)).to(device)
        found[name] = mean_direction(tower.encode_image((crops / 255 - mean) / std))
    return found


def main() -> None:
    """Print a row per way to give the classes."""
    args = parse_args()
    detector = DetectorScores(args.data)
    tower = detector.model.backbone.tower
    regions = RegionScores(args.data, tower, detector.head.fc_cls.text.encode)
    original = build_tower(TINY_CLIP).eval()
    nameless = [f'object {number}' for number in range(len(THING_CLASSES))]

    def report(row: str, names: Sequence[str], pictures: Pictures) -> None:
        print(f'| {row} | {detector(names, pictures)} | {regions(names, pictures)} |', flush=True)

    def choose(count: int, seed: int) -> Exemplars:
        annotations = str(args.data / 'annotations/instances_train_all.json')
        found = read_exemplar_boxes(annotations, str(args.data / 'train'), count, seed)
        return {name: found[name] for name in THING_CLASSES}

    def weighted(vectors: Mapping[str, Tensor], weight: float) -> Pictures:
        return {name: ExemplarEmbedding(vector, weight) for name, vector in vectors.items()}

    print('| classes | AP50 novel / base / all | boxes top-1 novel / base / all |\n|---|---|---|')
    report('names', THING_CLASSES, {})
    report('names that say nothing', nameless, {})
    for seed, count in itertools.product(args.seeds, args.counts):
        chosen = choose(count, seed)
        ways = {'boxes in images': embed_exemplars(tower, chosen, SIZE)}
        plain = dict(zip(nameless, ways['boxes in images'].values(), strict=True))
        if args.sources:
            ways['crops'] = embed_exemplars(tower, cut_crops(chosen), SIZE)
            ways['crops, original image embedding'] = embed_images(original, chosen)
            ways['crops, refined image embedding'] = embed_images(tower, chosen)
        for way, vectors in ways.items():
            row = f'{count} {way}, seed {seed}'
            report(row, THING_CLASSES, weighted(vectors, 1.0))
            report(f'{row}, with names', THING_CLASSES, weighted(vectors, 0.5))
        report(f'{count}, seed {seed}, no names', nameless, weighted(plain, 1.0))


if __name__ == '__main__':
    main()
