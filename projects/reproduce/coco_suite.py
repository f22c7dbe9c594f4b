"""The experiments of the paper on COCO with EVA-02 CLIP ViT-B/16: days on eight GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .experiment import Experiment
from .suite import TOWER_LR, Recipe, Suite, ablations

PATCHES = 'configs/clipself/clipself_eva02-b16_patches_1xb2-44k_coco.py'
FVIT = 'configs/fvit/fvit_eva02-b16'
RPN = 'configs/rpn/rpn_r50-fpn_8xb2-1x_ov-coco'


class CocoSuite(Suite):
    """Unless others are given, proposals are those of an R50-FPN trained on base classes' boxes."""

    distillations: ClassVar[Mapping[str, Recipe]] = {
        'patches': Recipe(PATCHES),
        'proposals': Recipe(PATCHES.replace('patches', 'proposals')),
        'region-text': Recipe('configs/region_text/region-text_eva02-b16_1xb2-44k_coco.py'),
        'image-text': Recipe('configs/clipself/image-text_eva02-b16_8xb2-6e_coco.py'),
        'scd': Recipe(PATCHES.replace('clipself_', 'scd_')),
        'declip': Recipe(PATCHES.replace('clipself_', 'declip_')),
        **ablations(PATCHES, splits=(4, 8, 10), blocks=(3, 6, 9), sizes=(320, 640)),
    }
    detectors: ClassVar[Mapping[str, Recipe]] = {
        'fvit': Recipe(f'{FVIT}_8xb8-3e_ov-coco.py'),
        'simplefpn-last': Recipe(f'{FVIT}_simplefpn-last_8xb8-3e_ov-coco.py'),
        'fpn-last': Recipe(
            f'{FVIT}_8xb8-3e_ov-coco.py', {'model.backbone.out_indices': '(11,11,11,11)'}
        ),
        'backbone-lr0.01': Recipe(f'{FVIT}_backbone-lr0.1_8xb8-3e_ov-coco.py', {TOWER_LR: '0.01'}),
        'backbone-lr0.1': Recipe(f'{FVIT}_backbone-lr0.1_8xb8-3e_ov-coco.py'),
    }
    evaluation = 'configs/region_eval/region-eval_eva02-b16_coco-panoptic.py'
    pseudo_labeller = 'configs/region_text/pseudo-labels_eva02-b16_coco.py'
    epoch_iters = 7_393  # batches of 2 in an eighth of train2017
    splits = (('max-split-4', 4), ('patches', 6), ('max-split-8', 8), ('max-split-10', 10))
    blocks = (
        ('blocks-3', '3', '3'),
        ('blocks-6', '6', '6'),
        ('blocks-9', '9', '9'),
        ('patches', '12', '12'),
    )
    sizes = (('size-320', '320', '320'), ('size-640', '640', '640'), ('patches', '1024', '1024'))
    tower_key = 'checkpoint'
    tower_file = '{folder}/tower/open_clip_model.safetensors'
    original = 'checkpoints/EVA02_CLIP_B_psz16_s8B.pt'
    train_images = 'train2017'
    own_nouns = 'ov_lvis'
    own_proposals = (
        'those of an R50-FPN trained here; the numbers of the paper rest on the file of its authors'
    )
    nouns_remark = (
        "The nouns of region-text pairs are LVIS's 1,203 names; the paper had 4,764 nouns."
    )

    def proposals(self) -> Experiment:
        """Proposals by an RPN of its own."""
        rpn_options = self.data_of('train', 'val') | {'train_cfg.val_begin': '1000000'}
        rpn = Experiment('train_rpn', f'{RPN}.py', rpn_options, trains=True)
        options = self.data_of('test') | {
            'test_evaluator.0.output_dir': '{here}',
            'test_evaluator.1.out_file': '{here}/proposals.json',
        }
        config = f'{RPN}_proposals.py'
        return Experiment('propose', config, options, {'rpn': rpn}, checkpoint='rpn')
