"""A small random F-ViT: the Shapes-OV config with the micro CLIP."""

import copy
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from PIL import Image

from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.open_vocab_coco_dataset import BASE_COLOUR, NOVEL_COLOUR

CONFIG = Path(__file__).parents[2] / 'configs/shapes/fvit_tiny_shapes-ov.py'
WIDTH, DIM, PATCH = 32, 16, 8  # of the micro CLIP in tests/conftest.py
NAMES = ['red star', 'blue ring', 'green bolt']


def tiny_config(clip, **changes):
    """The Shapes-OV config with the micro CLIP as tower and narrower heads."""
    config = Config.fromfile(CONFIG)
    config.merge_from_dict(
        {
            'model.backbone.tower.model': clip,
            'model.backbone.out_indices': (0, 1, 2, 2),
            'model.neck.in_channels': [WIDTH] * 4,
            'model.neck.out_channels': 16,
            'model.rpn_head.in_channels': 16,
            'model.rpn_head.feat_channels': 16,
            'model.roi_head.bbox_roi_extractor.out_channels': 16,
            'model.roi_head.clip_roi_extractor.out_channels': DIM,
            'model.roi_head.bbox_head.in_channels': 16,
            'model.roi_head.bbox_head.conv_out_channels': 16,
            'model.roi_head.bbox_head.fc_out_channels': DIM,
            'model.train_cfg.rpn_proposal.max_per_img': 20,
            'model.test_cfg.rpn.max_per_img': 20,
            'model.test_cfg.rcnn.score_thr': 0.0,
            **changes,
        }
    )
    return config


def build_fvit(clip, seed=0, **changes):
    config = tiny_config(clip, **changes)
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    model = MODELS.build(copy.deepcopy(config.model))
    model.init_weights()
    return model.eval()


def write_detector(folder, clip):
    """Write config.py, checkpoint.pth with the classes in it, and image.png (120 x 90)."""
    tiny_config(clip).dump(folder / 'config.py')
    words = load_vocabulary('shapes_ov')
    meta = dict(
        classes=words.classes,
        base_classes=words.base,
        palette=[BASE_COLOUR if name in words.base else NOVEL_COLOUR for name in words.classes],
    )
    state = build_fvit(clip).state_dict()
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=meta)), folder / 'checkpoint.pth')
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(folder / 'image.png')


def images(count=2, size=64, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def samples(count=2, size=64, **extra):
    made = []
    for index in range(count):
        meta = dict(
            img_id=index,
            img_shape=(size, size),
            ori_shape=(size, size),
            scale_factor=(1.0, 1.0),
            batch_input_shape=(size, size),
            pad_shape=(size, size),
        )
        sample = DetDataSample(metainfo=meta | extra)
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[4.0, 4.0, 30.0, 28.0], [20.0, 30.0, 60.0, 60.0]]),
            labels=torch.tensor([0, 7]),
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
        made.append(sample)
    return made
