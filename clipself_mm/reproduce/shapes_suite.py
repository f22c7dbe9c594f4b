"""The experiments on Shapes-OV with the tiny CLIP: hours on two cores of a CPU."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from tqdm import tqdm

from clipself_mm.shapes import ShapesOV, export_shapes_ov
from clipself_mm.shapes.export import MANIFEST

from .experiment import Experiment
from .suite import Suite

FOLDER = 'configs/shapes'
SPLITS = (4, 8, 10)
BLOCKS = (1, 2, 3, 4)
SIZES = (64, 96, 192)


class ShapesSuite(Suite):
    """Proposals are those of the F-ViT on the original tower, of the same seed."""

    distillations: ClassVar[Mapping[str, str]] = {
        'patches': f'{FOLDER}/clipself_tiny_patches_shapes-ov.py',
        'proposals': f'{FOLDER}/clipself_tiny_rpn-proposals_shapes-ov.py',
        'region-text': f'{FOLDER}/region-text_tiny_shapes-ov.py',
        'region-text-2': f'{FOLDER}/region-text_tiny_shapes-ov.py',
        'image-text': f'{FOLDER}/ablations/image-text_tiny_shapes-ov.py',
        'scd': f'{FOLDER}/clipself_tiny_scd_shapes-ov.py',
        'declip': f'{FOLDER}/clipself_tiny_declip_shapes-ov.py',
        **{
            f'{what}-{number}': f'{FOLDER}/ablations/clipself_tiny_{what}-{number}_shapes-ov.py'
            for what, numbers in (('max-split', SPLITS), ('blocks', BLOCKS), ('size', SIZES))
            for number in numbers
        },
    }
    detectors: ClassVar[Mapping[str, str]] = {
        'fvit': f'{FOLDER}/fvit_tiny_shapes-ov.py',
        **{
            detector: f'{FOLDER}/fvit_tiny_{detector}_shapes-ov.py'
            for detector in ('simplefpn-last', 'fpn-last', 'backbone-lr0.01', 'backbone-lr0.1')
        },
    }
    evaluations: ClassVar[Mapping[str, str]] = {
        'panoptic': f'{FOLDER}/region-eval_tiny_shapes-ov.py',
        'boxes': f'{FOLDER}/region-eval_tiny_shapes-ov.py',
        'pseudo-labels': f'{FOLDER}/pseudo-labels_tiny_shapes-ov.py',
    }
    splits = (('max-split-4', 4), ('patches', 6), ('max-split-8', 8), ('max-split-10', 10))
    blocks = (
        ('blocks-1', '1 of 5', '3'),
        ('blocks-2', '2 of 5', ''),
        ('blocks-3', '3 of 5', '6'),
        ('blocks-4', '4 of 5', '9'),
        ('patches', '5 of 5', '12'),
    )
    sizes = (
        ('size-64', '64', '320'),
        ('size-96', '96', '640'),
        ('patches', '128', '1024'),
        ('size-192', '192', ''),
    )
    tower_key = 'model'
    tower_file = 'local-dir:{folder}/tower'
    val_boxes = 'annotations/instances_val.json'
    nouns: ClassVar[Mapping[str, int | None]] = {'region-text': None, 'region-text-2': 2}
    nouns_remark = (
        'The captions of Shapes-OV name every object of a scene without a mistake; in the last row '
        'each picture keeps two of its nouns, drawn at random.'
    )
    foundation_remark = (
        'DeCLIP distils the token similarity of a small ViT with random weights here, which stands '
        "in DINOv2's place."
    )
    remark = (
        'The tiny tower has 5 blocks, its student 128 px by default; "in the paper" names the row '
        'of the paper that is nearest by its share of the whole.'
    )

    def evaluate(self, tower: str | None, what: str = 'panoptic') -> Experiment:
        """As in `Suite`; boxes are measured together with masks, in one run for all tables."""
        return super().evaluate(tower, 'panoptic')

    def proposals(self) -> Experiment:
        """Proposals by the RPN of the detector on the original tower."""
        options = self._data_of('test') | {
            'test_evaluator.ann_file': '{data}/annotations/instances_train.json',
            'test_evaluator.out_file': '{here}/proposals.json',
        }
        needs = {'detector': self.train_detector(None)}
        config = f'{FOLDER}/rpn_tiny_shapes-ov.py'
        return Experiment('propose', config, options, needs, checkpoint='detector')


def prepare_shapes(folder: Path, write: bool = True) -> str:
    """Write Shapes-OV if the folder holds none yet.

    Args:
        folder: Of a set of any size, or of the standard one to be written.
        write: Whether to write it; otherwise it is only named.

    Returns:
        Which set it is, in words.
    """
    manifest = folder / MANIFEST
    if write and not manifest.is_file():
        export_shapes_ov(folder, ShapesOV(), os.cpu_count() or 1, progress=tqdm)
    if manifest.is_file():
        found = json.loads(manifest.read_text(encoding='utf-8'))
    else:
        found = asdict(ShapesOV())
    return (
        f'Shapes-OV ({found["train"]} training and {found["val"]} validation scenes of '
        f'{found["size"]} px, seed {found["seed"]})'
    )
