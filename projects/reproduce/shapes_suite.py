"""The experiments on Shapes-OV with the tiny CLIP: hours on two cores of a CPU."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import ClassVar

from tqdm import tqdm

from clipself_mm.shapes import ShapesOV, export_shapes_ov
from clipself_mm.shapes.export import MANIFEST

from .experiment import Experiment
from .suite import TOWER_LR, Recipe, Suite, ablations

FOLDER = 'configs/shapes'
PATCHES = f'{FOLDER}/clipself_tiny_patches_shapes-ov.py'


class ShapesSuite(Suite):
    """Unless others are given, proposals are those of the F-ViT on the original tower."""

    distillations: ClassVar[Mapping[str, Recipe]] = {
        'patches': Recipe(PATCHES),
        'proposals': Recipe(f'{FOLDER}/clipself_tiny_rpn-proposals_shapes-ov.py'),
        'region-text': Recipe(f'{FOLDER}/region-text_tiny_shapes-ov.py'),
        'region-text-2': Recipe(f'{FOLDER}/region-text_tiny_shapes-ov.py'),
        'image-text': Recipe(f'{FOLDER}/image-text_tiny_shapes-ov.py'),
        'scd': Recipe(f'{FOLDER}/clipself_tiny_scd_shapes-ov.py'),
        'declip': Recipe(f'{FOLDER}/clipself_tiny_declip_shapes-ov.py'),
        **ablations(PATCHES, splits=(4, 8, 10), blocks=(1, 2, 3, 4), sizes=(64, 96, 192)),
    }
    detectors: ClassVar[Mapping[str, Recipe]] = {
        'fvit': Recipe(f'{FOLDER}/fvit_tiny_shapes-ov.py'),
        'simplefpn-last': Recipe(f'{FOLDER}/fvit_tiny_simplefpn-last_shapes-ov.py'),
        'fpn-last': Recipe(
            f'{FOLDER}/fvit_tiny_shapes-ov.py', {'model.backbone.out_indices': '(4,4,4,4)'}
        ),
        'backbone-lr0.01': Recipe(
            f'{FOLDER}/fvit_tiny_backbone-lr0.1_shapes-ov.py', {TOWER_LR: '0.01'}
        ),
        'backbone-lr0.1': Recipe(f'{FOLDER}/fvit_tiny_backbone-lr0.1_shapes-ov.py'),
    }
    evaluation = f'{FOLDER}/region-eval_tiny_shapes-ov.py'
    pseudo_labeller = f'{FOLDER}/pseudo-labels_tiny_shapes-ov.py'
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
    original = 'pkg:clipself_mm.shapes/tiny_clip'
    train_images = 'train'
    nouns: ClassVar[Mapping[str, int | None]] = {'region-text': None, 'region-text-2': 2}
    nouns_remark = (
        'The captions of Shapes-OV name every object of a scene without a mistake; in the last row '
        'each picture keeps two of its nouns, drawn at random.'
    )
    own_nouns = 'shapes_ov_panoptic'
    own_proposals = 'those of the RPN of F-ViT on the original tower, of the same seed'
    foundation_remark = (
        'DeCLIP distils the token similarity of a small ViT with random weights here, which stands '
        "in DINOv2's place."
    )
    remark = (
        'The tiny tower has 5 blocks, its student 128 px by default; "in the paper" names the row '
        'of the paper that is nearest by its share of the whole.'
    )

    def proposals(self) -> Experiment:
        """Proposals by the RPN of the detector on the original tower."""
        options = self.data_of('test') | {'test_evaluator.out_file': '{here}/proposals.json'}
        needs = {'detector': self.detect(None)}
        config = f'{FOLDER}/rpn_tiny_shapes-ov.py'
        return Experiment('propose', config, options, needs, checkpoint='detector')


def prepare_shapes(folder: Path, write: bool = True) -> str:
    """Write Shapes-OV, unless the folder holds a set of this version already.

    Args:
        folder: Of a set of any size, or of the standard one to be written.
        write: Whether to write it; otherwise it is only named.

    Returns:
        Which set it is, in words.
    """
    manifest, spec = folder / MANIFEST, ShapesOV()
    if manifest.is_file():
        found = json.loads(manifest.read_text(encoding='utf-8'))
        spec = ShapesOV(**{field.name: found[field.name] for field in fields(ShapesOV)})
    if write:
        export_shapes_ov(folder, spec, os.cpu_count() or 1, progress=tqdm)
    return (
        f'Shapes-OV ({spec.train} training and {spec.val} validation scenes of {spec.size} px, '
        f'seed {spec.seed})'
    )
