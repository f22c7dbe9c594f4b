"""The release's detector of a recording (`fvit_coco`, `fvit_lvis`) as a config of this package.

What a recording changed against the release's config is changed here against ours; sizes come from
its files, so that another recording may have others.
"""

import copy
import json
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import load_checkpoint
from safetensors.torch import load_file

from clipself_mm.clip import TowerSource
from clipself_mm.clip.weights.weight_file import read_weight_file
from tests.parity.fixtures import FIXTURES, Golden, fixture_json
from tests.parity.tiny_towers import build_tower

ROOT = Path(__file__).parents[2]
CONFIGS = {
    'fvit_coco': 'configs/fvit/fvit_eva02-b16_8xb8-3e_ov-coco.py',
    'fvit_lvis': 'configs/fvit/fvit_eva02-b16_8xb8-48e_ov-lvis.py',
}
"""Recording to the config that trains what it recorded."""


@dataclass
class Recording:
    """One folder of a detector's recording.

    Attributes:
        name: Its name.
        masks: Whether the detector has a mask head.
        config: Our config with the recording's sizes and files.
        config_file: The config as a file.
    """

    name: str
    masks: bool
    config: Config
    config_file: Path

    @property
    def folder(self):
        return FIXTURES / self.name

    def golden(self, precision='', *groups):
        """Results recorded in float32 or ('64') in double, those whose keys start with a group."""
        arrays = load_file(str(self.folder / f'golden{precision}.safetensors'))
        chosen = {k: v.numpy() for k, v in arrays.items() if not groups or k.startswith(groups)}
        return Golden(f'{self.name}/golden{precision}', chosen)

    def json(self, name):
        return json.loads((self.folder / name).read_text())

    def convert(self, which, out):
        """What `tools/convert_detector.py` makes of a checkpoint of the recording."""
        tool = ROOT / 'tools/convert_detector.py'
        before = sys.argv
        source = self.folder / f'detector_{which}.pth'
        sys.argv = [str(tool), str(source), str(out), '--fits', str(self.config_file)]
        try:
            runpy.run_path(str(tool), run_name='__main__')
        finally:
            sys.argv = before
        return out

    def detector(self, checkpoint):
        """The config's detector with the weights of a converted checkpoint."""
        with DefaultScope.overwrite_default_scope('mmdet'):
            model = MODELS.build(copy.deepcopy(self.config.model))
        load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True)
        return model.eval()

    def dataset(self, split, test):
        """The config's data set on one of the recording's splits, to train or to test."""
        loader = self.config.val_dataloader if test else self.config.train_dataloader
        entry = copy.deepcopy(loader.dataset)
        entry.update(data_root=str(self.folder), ann_file=f'{split}.json')
        if not self.masks:  # LVIS' images are found by the last two parts of their URL
            entry.data_prefix = dict(img=f'{split}/')
        with DefaultScope.overwrite_default_scope('mmdet'):
            return DATASETS.build(entry)


def read_recording(name, folder, monkeypatch):
    """Config and files of a recording.

    Args:
        name: One of `CONFIGS`.
        folder: Where files of the test may be written.
        monkeypatch: Pytest's; the recording's tower is registered as long as it lasts.
    """
    monkeypatch.setitem(MODELS._module_dict, 'GoldenTower', _tower)
    config = Config.fromfile(ROOT / CONFIGS[name])
    masks = 'mask_head' in config.model.roi_head
    recording = Recording(name, masks, config, folder / f'{name}_config.json')
    vocabulary = folder / f'{name}.json'
    words = dict(classes='all.json', base='seen.json', novel='unseen.json')
    vocabulary.write_text(json.dumps({key: recording.json(file) for key, file in words.items()}))
    config.merge_from_dict(dict(model=_model(recording, vocabulary)))
    side = config.model.data_preprocessor.pad_size_divisor
    for loader in (config.train_dataloader, config.val_dataloader):
        loader.dataset.vocabulary = str(vocabulary)
        for step in loader.dataset.pipeline:
            _fix(step, side)
    config.dump(recording.config_file)
    return recording


def _tower():
    tower = build_tower('eva_tiny_weights', fixture_json('config.json'))
    tower.source = TowerSource('eva', {})
    return tower


def _fix(step, side):
    """Give a transform the recording's size and no chance."""
    for key in ('scale', 'crop_size'):
        if key in step:
            step[key] = (side, side)
    if 'ratio_range' in step:
        step.ratio_range = (1.0, 1.0)
    if step.type == 'RandomFlip':
        step.prob = 0.0


def _model(recording, vocabulary):
    """What a recording changed in the model (its README)."""
    recorded = fixture_json('config.json')
    vision, dim = recorded['eva_tiny']['vision_cfg'], recorded['eva_tiny']['embed_dim']
    patch = vision['patch_size']
    weights = read_weight_file(recording.folder / 'detector_start.pth')['state_dict']
    channels = weights['neck.lateral_convs.0.conv.weight'].shape[0]
    strides = [patch / 4, patch / 2, patch, 2 * patch, 4 * patch]
    # `train.image_0` is every fourth pixel of a picture whose side is a multiple of the patch.
    rows = recording.golden().outputs['train.image_0'].shape[1]
    side = 4 * rows // patch * patch
    extractor = dict(out_channels=channels, featmap_strides=strides[:4])
    every = dict(num=10**6, pos_fraction=1.0)
    few = dict(nms_pre=300, max_per_img=100)
    roi_head = dict(
        bbox_roi_extractor=extractor,
        clip_roi_extractor=dict(out_channels=dim, featmap_strides=[patch]),
        bbox_head=dict(
            vocabulary=str(vocabulary),
            in_channels=channels,
            conv_out_channels=channels,
            fc_out_channels=dim,
            cls_predictor_cfg=dict(embeddings=str(recording.folder / 'embeddings.pt')),
        ),
    )
    if recording.masks:
        roi_head['mask_roi_extractor'] = extractor
        roi_head['mask_head'] = dict(in_channels=channels, conv_out_channels=channels)
    return dict(
        data_preprocessor=dict(pad_size_divisor=side),
        backbone=dict(
            tower=dict(_delete_=True, type='GoldenTower'),
            out_indices=tuple(recorded['fvit_backbone']['out_indices']),
        ),
        neck=dict(in_channels=[vision['width']] * 4, out_channels=channels),
        rpn_head=dict(
            in_channels=channels, feat_channels=channels, anchor_generator=dict(strides=strides)
        ),
        roi_head=roi_head,
        train_cfg=dict(rpn=dict(sampler=every), rpn_proposal=few, rcnn=dict(sampler=dict(every))),
        test_cfg=dict(rpn=dict(few)),
    )
