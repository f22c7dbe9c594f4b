"""The whole story in minutes on a CPU: measure, distil, measure again, detect, show.

Runs on Shapes-OV with the tiny CLIP through the same configs and tools that a user runs on COCO.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint
from PIL import Image
from tqdm import tqdm

from clipself_mm.clip import build_tower
from clipself_mm.io.atomic_write import atomic_write
from clipself_mm.visualization import draw_dense_clusters, draw_detections

from .export import ShapesOV, export_shapes_ov

TINY_CLIP = 'pkg:clipself_mm.shapes/tiny_clip'
PATCHES_CONFIG = 'configs/shapes/clipself_tiny_patches_shapes-ov.py'
PROPOSALS_CONFIG = 'configs/shapes/clipself_tiny_rpn-proposals_shapes-ov.py'
PROPOSING_CONFIG = 'configs/shapes/rpn_tiny_shapes-ov.py'
DETECTOR_CONFIG = 'configs/shapes/fvit_tiny_shapes-ov.py'
ROUTES = ('boxes', 'thing_masks', 'stuff_masks', 'image_crops')
SPLITS = ('novel_ap50', 'base_ap50', 'all_ap50')


class Demo:
    """Runs the steps and keeps their figures in ``<work_dir>/results.json``.

    Args:
        root: Checkout that holds ``configs`` and ``tools``.
        work_dir: Where towers, logs, the picture and ``results.json`` go.
        data_root: Where Shapes-OV is, or is written.
    """

    def __init__(self, root: Path, work_dir: Path, data_root: Path) -> None:
        self.root = root
        self.work_dir = work_dir
        self.data_root = data_root
        self.results: dict[str, dict] = {
            'region_classification': {},
            'detection': {},
            'seconds': {},
        }

    def run(self) -> dict[str, dict]:
        """Run every step; returns what ``results.json`` holds."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        with self._step('write Shapes-OV', 'data'):
            export_shapes_ov(self.data_root, ShapesOV(), os.cpu_count() or 1, progress=tqdm)
        with self._step('measure the original tiny CLIP', 'evaluate_original'):
            self._measure('original', TINY_CLIP)
        self._distil('clipself_patches', PATCHES_CONFIG)
        self._detect('original', TINY_CLIP)
        proposals = self.work_dir / 'rpn_proposals.json'
        with self._step("write its RPN's proposals", 'proposals'):
            self._propose('original', proposals)
        self._distil('clipself_proposals', PROPOSALS_CONFIG, ann_file=proposals)
        self._detect('clipself', self._tower('clipself_proposals'))
        with self._step('draw dense features and detections', 'pictures'):
            clusters, detections = self._draw_clusters(), self._draw_detections()
        print(f'\n{format_table(self.results["region_classification"])}')
        print(f'\n{format_detection_table(self.results["detection"])}')
        print(f'\nFigures: {self.work_dir / "results.json"}\nPictures: {clusters}, {detections}')
        return self.results

    def _tower(self, method: str) -> str:
        return f'local-dir:{self.work_dir / method / "tower"}'

    def _measure(self, method: str, tower: str) -> None:
        config = Config.fromfile(self.root / 'configs/shapes/region-eval_tiny_shapes-ov.py')
        config.work_dir = str(self.work_dir / f'evaluate_{method}')
        config.model.tower.model = tower
        config.test_dataloader.dataset.data_root = f'{self.data_root}/'
        measured = Runner.from_cfg(config).test()
        self.results['region_classification'][method] = {
            route: {top: round(measured[f'region/{route}/{top}'], 4) for top in ('top1', 'top5')}
            for route in ROUTES
        }

    def _distil(self, method: str, config: str, ann_file: Path | None = None) -> None:
        """CLIPSelf, then region classification with the tower it exports."""
        with self._step(f'distil: {method}', f'train_{method}'):
            options = [
                f'train_dataloader.dataset.data_root={self.data_root}/',
                f'val_dataloader.dataset.data_root={self.data_root}/',
            ]
            if ann_file is not None:
                options.append(f'train_dataloader.dataset.ann_file={ann_file.resolve()}')
            self._train(config, method, *options)
        with self._step(f'measure: {method}', f'evaluate_{method}'):
            self._measure(method, self._tower(method))

    def _detect(self, row: str, tower: str) -> None:
        """F-ViT on a tower, trained and measured."""
        with self._step(f'F-ViT on the {row} tower', f'train_fvit_{row}'):
            self._train_detector(row, tower)
        with self._step(f'measure F-ViT on the {row} tower', f'evaluate_fvit_{row}'):
            self._measure_detector(row)

    def _propose(self, row: str, out: Path) -> None:
        """The training images' proposals by the RPN of a row's detector."""
        config = Config.fromfile(self.root / PROPOSING_CONFIG)
        config.model.backbone = self._detector_config(row).model.backbone
        config.load_from = self._detector_config(row).load_from
        config.work_dir = str(self.work_dir / 'proposals')
        config.test_dataloader.dataset.data_root = f'{self.data_root}/'
        config.test_evaluator.ann_file = f'{self.data_root}/annotations/instances_train.json'
        config.test_evaluator.out_file = str(out)
        Runner.from_cfg(config).test()

    def _train_detector(self, row: str, tower: str) -> None:
        self._train(
            DETECTOR_CONFIG,
            f'fvit_{row}',
            f'model.backbone.tower.model={tower}',
            f'train_dataloader.dataset.data_root={self.data_root}/',
            f'val_dataloader.dataset.data_root={self.data_root}/',
            'train_cfg.val_begin=1000',  # measured in a step of its own
        )

    def _train(self, config: str, name: str, *options: str) -> None:
        command = [
            sys.executable,
            str(self.root / 'tools/train.py'),
            str(self.root / config),
            f'--work-dir={self.work_dir / name}',
            '--cfg-options',
            *options,
        ]
        subprocess.run(command, check=True)

    def _detector_config(self, row: str) -> Config:
        """The config that the training of a row has left beside its checkpoint."""
        folder = self.work_dir / f'fvit_{row}'
        config = Config.fromfile(folder / Path(DETECTOR_CONFIG).name)
        config.load_from = find_latest_checkpoint(str(folder))
        config.work_dir = str(self.work_dir / f'evaluate_fvit_{row}')
        config.test_dataloader = config.val_dataloader
        config.test_evaluator = config.val_evaluator
        return config

    def _measure_detector(self, row: str) -> None:
        measured = Runner.from_cfg(self._detector_config(row)).test()
        self.results['detection'][row] = {
            split: round(100 * measured[f'coco/{split}'], 4) for split in SPLITS
        }

    def _draw_detections(self) -> Path:
        config = self._detector_config('clipself')
        path = self.work_dir / 'detections.png'
        draw_detections(config, config.load_from, self._pictures()).save(path)
        return path

    def _draw_clusters(self) -> Path:
        towers = {'original': TINY_CLIP}
        towers |= {m: self._tower(m) for m in ('clipself_patches', 'clipself_proposals')}
        images = [Image.open(path) for path in self._pictures()]
        panel = draw_dense_clusters(
            images, {name: build_tower(model) for name, model in towers.items()}, size=128
        )
        path = self.work_dir / 'dense_features.png'
        panel.save(path)
        return path

    def _pictures(self) -> list[Path]:
        return sorted((self.data_root / 'val').glob('*.jpg'))[:4]

    @contextmanager
    def _step(self, title: str, key: str) -> Iterator[None]:
        print(f'\n=== {title}', flush=True)
        start = time.perf_counter()
        yield
        self.results['seconds'][key] = round(time.perf_counter() - start, 1)
        with atomic_write(self.work_dir / 'results.json') as part:
            part.write_text(json.dumps(self.results, indent=2))


def format_table(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    """The paper's Table 2 as text.

    Args:
        rows: Method to route to ``top1`` and ``top5`` in percent.
    """
    cell: Callable[[str], str] = '{:>13}'.format
    lines = [
        'Region classification on Shapes-OV val, mean class accuracy top-1 / top-5 in %',
        f'{"":<20}' + ''.join(cell(route.replace('_', ' ')) for route in ROUTES),
    ]
    for method, scores in rows.items():
        cells = (f'{scores[r]["top1"]:.1f} / {scores[r]["top5"]:.1f}' for r in ROUTES)
        lines.append(f'{method:<20}' + ''.join(cell(text) for text in cells))
    return '\n'.join(lines)


def format_detection_table(rows: dict[str, dict[str, float]]) -> str:
    """The paper's Table 3a as text.

    Args:
        rows: Tower to AP50 of novel, base and all classes, in percent.
    """
    lines = [
        'F-ViT on Shapes-OV val, box AP50 in %',
        f'{"tower":<20}' + ''.join(f'{split.removesuffix("_ap50"):>13}' for split in SPLITS),
    ]
    for row, scores in rows.items():
        lines.append(f'{row:<20}' + ''.join(f'{scores[split]:>13.1f}' for split in SPLITS))
    return '\n'.join(lines)
