"""mmdet's detectors with the frozen tower as backbone."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from safetensors.torch import load_file

from clipself_mm.datasets import load_vocabulary
from clipself_mm.shapes.export import ShapesOV, export_shapes_ov

CONFIGS = Path(__file__).parents[2] / 'configs/shapes'
SIDE = 64
PYRAMIDS = {
    'blocks': dict(
        backbone=dict(out_indices=(0, 1, 1, 2)), neck=dict(in_channels=[32, 32, 32, 32])
    ),
    'last': dict(
        backbone=dict(out_indices=(2,), scales=(1,)),
        neck=dict(_delete_=True, type='SimpleFPN', in_channels=32, out_channels=64),
    ),
}


@pytest.fixture(autouse=True)
def scope_comes_back():
    with DefaultScope.overwrite_default_scope('mmengine'):
        yield


@pytest.fixture(scope='module')
def few_shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('few_shapes_ov')
    export_shapes_ov(folder, ShapesOV(train=4, val=2, size=SIDE))
    return folder


def read_config(detector, pyramid, shapes, micro_clip, work_dir):
    """A detector's config on the micro CLIP and four images: two steps, then validation."""
    child = work_dir / f'{detector}_{pyramid}.py'
    child.write_text(
        f"_base_ = ['{CONFIGS / detector}_tiny_shapes-ov.py']\n"
        f'model = {PYRAMIDS[pyramid]}\n'
        'param_scheduler = []\n'
    )
    config = Config.fromfile(child)
    thresholds = config.model.test_cfg.get('rcnn', config.model.test_cfg)
    thresholds.score_thr = 0.0  # scores after two steps are low
    config.merge_from_dict(
        {
            'model.backbone.tower.model': micro_clip,
            'work_dir': str(work_dir),
            'visualizer.name': work_dir.name,
            'train_dataloader.batch_size': 2,
            'train_dataloader.dataset.data_root': f'{shapes}/',
            'train_dataloader.dataset.pipeline.2.scale': (SIDE, SIDE),
            'train_dataloader.dataset.pipeline.3.crop_size': (SIDE, SIDE),
            'val_dataloader.dataset.data_root': f'{shapes}/',
            'val_dataloader.dataset.pipeline.1.scale': (SIDE, SIDE),
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'default_hooks.logger.interval': 1,
            'log_level': 'ERROR',
        }
    )
    config.default_hooks.checkpoint = None
    for part in ('dataloader', 'cfg', 'evaluator'):
        config.pop(f'test_{part}')
    return config


@pytest.mark.slow
@pytest.mark.parametrize(
    ('detector', 'pyramid'),
    [('retinanet', 'blocks'), ('mask-rcnn', 'blocks'), ('mask-rcnn', 'last')],
)
def test_trains_on_the_frozen_tower(detector, pyramid, few_shapes, micro_clip, tmp_path):
    runner = Runner.from_cfg(read_config(detector, pyramid, few_shapes, micro_clip, tmp_path))
    model = runner.model
    assert type(model).__module__.startswith('mmdet.')
    model.init_weights()
    before = {name: value.clone() for name, value in model.named_parameters()}
    runner.train()

    losses, _ = runner.message_hub.get_scalar('train/loss').data
    assert len(losses) == 2
    assert torch.tensor(losses).isfinite().all()
    assert runner.message_hub.get_scalar('val/coco/all_ap50').current() >= 0

    stored = load_file(Path(micro_clip.removeprefix('local-dir:')) / 'open_clip_model.safetensors')
    tower = model.backbone.tower.state_dict()
    assert tower
    assert all(value.equal(stored[name]) for name, value in tower.items())
    trained = {name for name, value in before.items() if not value.equal(model.state_dict()[name])}
    assert not any(name.startswith('backbone.tower.') for name in trained)
    assert any(name.startswith('neck.') for name in trained)
    assert any(name.startswith('backbone.interpolate') for name in trained) == (pyramid == 'blocks')

    (batch,) = runner.val_dataloader
    model.eval()
    with torch.no_grad():
        samples = model.test_step(batch)
    vocabulary = load_vocabulary('shapes_ov')
    for sample in samples:
        found = sample.pred_instances
        assert 0 < len(found) <= 100
        assert found.scores.isfinite().all()
        assert found.bboxes.min() >= 0
        assert found.bboxes.max() <= SIDE
        assert found.labels.max() < len(vocabulary.classes)
        if detector == 'mask-rcnn':
            assert found.masks.shape == (len(found), SIDE, SIDE)


@pytest.mark.parametrize('detector', ['retinanet', 'mask-rcnn'])
def test_only_base_boxes_train(detector):
    """The head has a column per class of the vocabulary; novel classes get no boxes."""
    config = Config.fromfile(CONFIGS / f'{detector}_tiny_shapes-ov.py')
    head = config.model.get('bbox_head') or config.model.roi_head.bbox_head
    dataset = config.train_dataloader.dataset
    assert dataset.base_only
    assert head.num_classes == len(load_vocabulary(dataset.vocabulary).classes)
