"""The whole story in a few minutes on a CPU: measure, distil, measure again, show.

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
from mmengine.runner import Runner
from PIL import Image
from tqdm import tqdm

from clipself_mm.clip import build_tower
from clipself_mm.visualization import draw_dense_clusters

from .export import ShapesOV, export_shapes_ov

TINY_CLIP = 'pkg:clipself_mm.shapes/tiny_clip'
METHODS = {'clipself_patches': 'patches', 'clipself_proposals': 'proposals'}
ROUTES = ('boxes', 'thing_masks', 'stuff_masks', 'image_crops')


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
        self.results: dict[str, dict] = {'region_classification': {}, 'seconds': {}}

    def run(self) -> dict[str, dict]:
        """Run every step; returns what ``results.json`` holds."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        with self._step('write Shapes-OV', 'data'):
            export_shapes_ov(self.data_root, ShapesOV(), os.cpu_count() or 1, progress=tqdm)
        with self._step('measure the original tiny CLIP', 'evaluate_original'):
            self._measure('original', TINY_CLIP)
        for method, regions in METHODS.items():
            with self._step(f'CLIPSelf with {regions}', f'train_{method}'):
                self._distil(method, regions)
            with self._step(f'measure CLIPSelf with {regions}', f'evaluate_{method}'):
                self._measure(method, self._tower(method))
        with self._step('draw dense features', 'picture'):
            picture = self._draw()
        print(f'\n{format_table(self.results["region_classification"])}')
        print(f'\nFigures: {self.work_dir / "results.json"}\nPicture: {picture}')
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
            route: {top: round(measured[f'region/{route}/{top}'], 2) for top in ('top1', 'top5')}
            for route in ROUTES
        }

    def _distil(self, method: str, regions: str) -> None:
        command = [
            sys.executable,
            str(self.root / 'tools/train.py'),
            str(self.root / f'configs/shapes/clipself_tiny_{regions}_shapes-ov.py'),
            f'--work-dir={self.work_dir / method}',
            '--cfg-options',
            f'train_dataloader.dataset.data_root={self.data_root}/',
            f'val_dataloader.dataset.data_root={self.data_root}/',
        ]
        subprocess.run(command, check=True)

    def _draw(self) -> Path:
        towers = {'original': TINY_CLIP} | {m: self._tower(m) for m in METHODS}
        images = [Image.open(path) for path in sorted((self.data_root / 'val').glob('*.jpg'))[:4]]
        panel = draw_dense_clusters(
            images, {name: build_tower(model) for name, model in towers.items()}, size=128
        )
        path = self.work_dir / 'dense_features.png'
        panel.save(path)
        return path

    @contextmanager
    def _step(self, title: str, key: str) -> Iterator[None]:
        print(f'\n=== {title}', flush=True)
        start = time.perf_counter()
        yield
        self.results['seconds'][key] = round(time.perf_counter() - start, 1)
        unfinished = self.work_dir / '.results.json'
        unfinished.write_text(json.dumps(self.results, indent=2))
        os.replace(unfinished, self.work_dir / 'results.json')


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
