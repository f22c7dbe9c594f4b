"""The method end to end on a CPU: measure, distil, measure again, detect, show.

A selection of the runs of Tables 2 and 3a on Shapes-OV, with two pictures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

from mmdet.apis import init_detector
from mmengine.config import Config
from PIL import Image

from clipself_mm.clip import build_tower
from clipself_mm.io.atomic_write import atomic_write
from clipself_mm.tuning import Protocol, Tuning
from clipself_mm.visualization import draw_dense_clusters, draw_detections

from .display import Display
from .experiment import Experiment
from .job_queue import JobQueue
from .run import Run
from .run_context import RunContext
from .shapes_suite import ShapesSuite

ROUTES = ('boxes', 'thing_masks', 'stuff_masks', 'image_crops')
SPLITS = ('novel_ap50', 'base_ap50', 'all_ap50')
TOWERS = {'original': None, 'clipself_patches': 'patches', 'clipself_proposals': 'proposals'}
"""Row of region classification to the suite's word for its tower."""
DETECTORS = {'original': None, 'clipself': 'proposals'}
"""Row of detection to the suite's word for its tower."""
SEED = 0
DRAWN_PRECISION = 0.9
"""Wanted precision of the drawn detections, class by class."""


class DemoSuite(ShapesSuite):
    """Its detectors are measured once, after the last epoch, by a run of its own.

    Other runs need not wait for that; a table of the paper wants the best epoch instead.
    """

    def detect(self, tower: str | None, detector: str = 'fvit') -> Experiment:
        """F-ViT on a tower, not measured."""
        trained = super().detect(tower, detector)
        options = {**trained.options, 'train_cfg.val_begin': '1000000'}
        return replace(trained, options=options, best_by=None)

    def evaluate_detector(self, tower: str | None) -> Experiment:
        """AP of the F-ViT on a tower."""
        trained = self.detect(tower)
        options = self.data_of('test') | self.tower_options('model.backbone.tower', tower)
        needs = {**trained.needs, 'detector': trained}
        name = f'evaluate_{trained.name}'
        return Experiment(name, trained.config, options, needs, checkpoint='detector')


class Demo:
    """Makes the runs, two at a time with one thread each, and keeps their figures.

    Args:
        context: Where and how; ``results.json`` and the pictures go to its work folder.
        data_seconds: What it took to write the data, for ``results.json``.
        display: Shows progress.
    """

    def __init__(
        self, context: RunContext, data_seconds: float = 0.0, display: Display | None = None
    ) -> None:
        def run_of(experiment: Experiment) -> Run:
            return Run.of(experiment, SEED, context)

        suite = DemoSuite()
        self.context = context
        self.display = display or Display()
        self.towers = {row: run_of(suite.evaluate(tower)) for row, tower in TOWERS.items()}
        self.detectors = {
            row: run_of(suite.evaluate_detector(tower)) for row, tower in DETECTORS.items()
        }
        # The longest chain of needs comes first: what follows in it never waits for a place.
        first = self.detectors['clipself']
        runs = [first, *reversed(self.towers.values()), *self.detectors.values()]
        self.queue = JobQueue(
            runs,
            jobs=2,
            display=self.display,
            measured=lambda run: self._write(),
            threads=1,  # a sum's last digits depend on the number
            keeps_going=False,
        )
        self.seconds = {'data': round(data_seconds, 1)}

    def run(self) -> bool:
        """Make the runs and show what they gave; whether all went well."""
        if not self.queue.execute():
            return False
        start = time.perf_counter()
        log = self.context.work_dir / 'pictures.log'
        with log.open('w') as file, redirect_stdout(file), redirect_stderr(file):
            pictures = self._draw_clusters(), self._draw_detections()
        self.seconds['pictures'] = round(time.perf_counter() - start, 1)
        results = self._write()
        self.display.log(f'\n{format_table(results["region_classification"])}')
        self.display.log(f'\n{format_detection_table(results["detection"])}')
        self.display.log(f'\nFigures: {self.context.work_dir / "results.json"}')
        self.display.log(f'Pictures: {", ".join(map(str, pictures))}')
        return True

    def results(self) -> dict[str, dict]:
        """What ``results.json`` holds: percentages of the rows that are measured, seconds."""
        done = self.queue.results
        metrics = {
            rows: {row: done[run.id]['metrics'] for row, run in of.items() if run.id in done}
            for rows, of in (('regions', self.towers), ('boxes', self.detectors))
        }
        regions = {
            row: {route: _top_1_and_5(found, route) for route in ROUTES}
            for row, found in metrics['regions'].items()
        }
        detection = {
            row: {split: round(100 * found[f'coco/{split}'], 4) for split in SPLITS}
            for row, found in metrics['boxes'].items()
        }
        steps = {key: run.id for key, run in self._steps().items()}
        seconds = {key: done[name]['seconds'] for key, name in steps.items() if name in done}
        return {
            'region_classification': regions,
            'detection': detection,
            'seconds': self.seconds | seconds,
        }

    def _steps(self) -> dict[str, Run]:
        """The runs by what ``results.json`` calls them."""
        steps = {'proposals': self.towers['clipself_proposals'].needs['tower'].needs['proposals']}
        for row, run in self.towers.items():
            steps |= {f'train_{row}': need for need in run.needs.values()}
            steps[f'evaluate_{row}'] = run
        for row, run in self.detectors.items():
            steps[f'train_fvit_{row}'] = run.needs['detector']
            steps[f'evaluate_fvit_{row}'] = run
        return steps

    def _write(self) -> dict[str, dict]:
        results = self.results()
        with atomic_write(self.context.work_dir / 'results.json') as part:
            part.write_text(json.dumps(results, indent=2))
        return results

    def _draw_detections(self) -> Path:
        run = self.detectors['clipself']
        trained = run.needs['detector']
        # The config that the training has left beside its checkpoint.
        config = Config.fromfile(trained.folder / Path(trained.experiment.config).name)
        config.test_dataloader.dataset.data_root = f'{self.context.data_root}/'
        model = init_detector(config, str(run.checkpoint()), device='cpu')
        tuning = Tuning(config, model, self.context.work_dir / 'cache')
        tuning.cache.fill()
        # Of every second scene; those between them are drawn.
        measured = tuning.measure(tuning.current, Protocol.HALF)
        thresholds = tuning.thresholds(measured, DRAWN_PRECISION)
        path = self.context.work_dir / 'detections.png'
        images = self._images(8)[::2]
        draw_detections(config, str(run.checkpoint()), images, thresholds).save(path)
        return path

    def _draw_clusters(self) -> Path:
        models = {row: DemoSuite.original for row in self.towers} | {
            row: f'local-dir:{run.needs["tower"].folder}/tower'
            for row, run in self.towers.items()
            if 'tower' in run.needs
        }
        towers = {row: build_tower(model) for row, model in models.items()}
        images = [Image.open(path) for path in self._images(4)]
        path = self.context.work_dir / 'dense_features.png'
        draw_dense_clusters(images, towers, size=128).save(path)
        return path

    def _images(self, count: int) -> list[Path]:
        return sorted((self.context.data_root / 'val').glob('*.jpg'))[:count]


def _top_1_and_5(metrics: dict[str, float], route: str) -> dict[str, float]:
    return {top: round(metrics[f'region/{route}/{top}'], 4) for top in ('top1', 'top5')}


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
