"""The experiments of the paper on COCO with EVA-02 CLIP ViT-B/16: days on eight GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .experiment import Experiment
from .suite import Suite

CLIPSELF = 'configs/clipself'
FVIT = 'configs/fvit/fvit_eva02-b16'
RPN = 'configs/rpn/rpn_r50-fpn_8xb2-1x_ov-coco'


class CocoSuite(Suite):
    """Proposals are those of an R50-FPN trained on the boxes of OV-COCO's base classes."""

    distillations: ClassVar[Mapping[str, str]] = {
        'patches': f'{CLIPSELF}/clipself_eva02-b16_patches_8xb2-6e_coco.py',
        'proposals': f'{CLIPSELF}/clipself_eva02-b16_proposals_8xb2-6e_coco.py',
        'region-text': 'configs/region_text/region-text_eva02-b16_8xb2-6e_coco.py',
        'image-text': f'{CLIPSELF}/ablations/image-text_eva02-b16_8xb2-6e_coco-boxes.py',
        'scd': f'{CLIPSELF}/scd_eva02-b16_patches_8xb2-6e_coco.py',
        'declip': f'{CLIPSELF}/declip_eva02-b16_patches_8xb2-6e_coco.py',
        **{
            f'{what}-{number}': f'{CLIPSELF}/ablations/'
            f'clipself_eva02-b16_{what}-{number}_8xb2-6e_coco-boxes.py'
            for what, numbers in (
                ('max-split', (4, 8, 10)),
                ('blocks', (3, 6, 9)),
                ('size', (320, 640)),
            )
            for number in numbers
        },
    }
    detectors: ClassVar[Mapping[str, str]] = {
        'fvit': f'{FVIT}_original_8xb8-3e_ov-coco.py',
        **{
            detector: f'{FVIT}_clipself-patches_{detector}_8xb8-3e_ov-coco.py'
            for detector in ('simplefpn-last', 'fpn-last', 'backbone-lr0.01', 'backbone-lr0.1')
        },
    }
    evaluations: ClassVar[Mapping[str, str]] = {
        'panoptic': 'configs/region_eval/region-eval_eva02-b16_coco-panoptic.py',
        'boxes': 'configs/region_eval/region-eval_eva02-b16_coco-boxes.py',
        'pseudo-labels': 'configs/region_text/pseudo-labels_eva02-b16_coco.py',
    }
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
    val_boxes = 'annotations/instances_val2017.json'

    def proposals(self) -> Experiment:
        """Proposals by an RPN of its own."""
        rpn_options = self._data_of('train', 'val') | {
            'val_evaluator.ann_file': f'{{data}}/{self.val_boxes}',
            'train_cfg.val_begin': '1000000',
        }
        rpn = Experiment('train_rpn', f'{RPN}.py', rpn_options, trains=True)
        options = self._data_of('test') | {
            'test_evaluator.0.output_dir': '{here}',
            'test_evaluator.1.ann_file': '{data}/annotations/instances_train2017.json',
            'test_evaluator.1.out_file': '{here}/proposals.json',
        }
        config = f'{RPN}_proposals.py'
        return Experiment('propose', config, options, {'rpn': rpn}, checkpoint='rpn')
