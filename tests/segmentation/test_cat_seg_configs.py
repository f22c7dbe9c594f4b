"""The configs of CAT-Seg build, and say what the method says."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip('mmseg')

from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS, init_default_scope

from clipself_mm.clip import text_embeddings
from clipself_mm.clip.text_tower import bare_text_tower
from clipself_mm.clip.weights.tower_source import find_source
from clipself_mm.datasets import load_vocabulary
from clipself_mm.hooks import VocabularyCheckHook
from clipself_mm.shapes.classes import ALL_CLASSES, NOVEL_CLASSES, THING_CLASSES
from tests.config_files import write_ade847_names

ROOT = Path(__file__).parents[2] / 'configs'
RELEASED = sorted((ROOT / 'segmentation').glob('cat-seg_*.py'))
TWIN = ROOT / 'shapes/cat-seg_tiny_shapes-ov.py'
COUNTS = {'coco-stuff': 171, 'ade20k-150': 150, 'ade20k-847': 847, 'pascal-context-59': 59}


@pytest.fixture(autouse=True)
def names_of_ade847(elsewhere):
    write_ade847_names()
    init_default_scope('mmseg')


class RandomText(torch.nn.Module):
    """A text tower that needs no checkpoint."""

    def __init__(self, model, checkpoint):
        super().__init__()
        self.text = bare_text_tower(find_source(model, None).config).requires_grad_(False)


def on_meta(config, monkeypatch):
    """The model with random weights on the meta device."""
    monkeypatch.setattr(text_embeddings, 'TextTower', RandomText)
    model = copy.deepcopy(config.model)
    model.decode_head.text = dict(model=model.backbone.tower.model, checkpoint=None)
    model.backbone.tower.checkpoint = None
    # Its constants are compared with the tower's, which the meta device has none of.
    model.data_preprocessor = MODELS.build(model.data_preprocessor)
    with torch.device('meta'):
        return MODELS.build(model)


def test_configs_are_found():
    assert len(RELEASED) == 8


@pytest.mark.parametrize('path', RELEASED, ids=lambda path: path.stem)
def test_released_config(path, monkeypatch):
    config = Config.fromfile(path)
    model = on_meta(config, monkeypatch)
    (count,) = {number for name, number in COUNTS.items() if path.stem.endswith(name)}
    assert len(model.classes) == count
    assert len(model.train_classes) == 171
    tower, head = model.backbone.tower, model.decode_head
    assert model.backbone.input_size // tower.patch_size == 24
    assert head.upsampling.guidance[0][0].in_channels == tower.width
    assert head.aggregator.text[0].in_features == tower.dim
    trained = [name for name, item in head.prompts.named_parameters() if item.requires_grad]
    assert len(trained) == 12  # a packed weight for each block of the text towers
    assert isinstance(HOOKS.build(config.default_hooks.vocabulary), VocabularyCheckHook)
    assert [block / len(tower.blocks) for block in model.backbone.out_indices] == [
        pytest.approx(1 / 3, abs=0.1),
        pytest.approx(2 / 3, abs=0.1),
    ]
    assert config.test_dataloader.dataset.pipeline[1].scale == (640, 640)
    for transform in config.test_dataloader.dataset.pipeline:
        TRANSFORMS.build(copy.deepcopy(transform))
    METRICS.build(copy.deepcopy(config.test_evaluator))
    with_training = path.stem.endswith('80k_coco-stuff')
    assert ('train_dataloader' in config) == with_training
    if with_training:
        for transform in config.train_dataloader.dataset.pipeline:
            TRANSFORMS.build(copy.deepcopy(transform))
        wrapper = build_optim_wrapper(model, config.optim_wrapper)
        rates = sorted({group['lr'] for group in wrapper.optimizer.param_groups})
        assert rates == pytest.approx([2e-6, 2e-4])


def test_padding_of_small_training_images_is_grey_and_ignored():
    """A picture of 400 x 100 is scaled to 1333 x 333, cropped, and filled below to 384."""
    config = Config.fromfile(ROOT / 'segmentation/cat-seg_openai-b16_4xb1-80k_coco-stuff.py')
    dataset = config.train_dataloader.dataset
    for folder, mode in (('img_path', 'RGB'), ('seg_map_path', 'L')):
        place = Path(dataset.data_root, dataset.data_prefix[folder])
        place.mkdir(parents=True)
        name = 'a.jpg' if mode == 'RGB' else 'a_labelTrainIds.png'
        Image.new(mode, (400, 100), 3 if mode == 'L' else (200, 10, 10)).save(place / name)
    item = DATASETS.build(dataset)[0]
    assert item['inputs'].shape == (3, 384, 384)
    assert (item['inputs'][:, 333:] == 128).all()
    labels = item['data_samples'].gt_sem_seg.data[0]
    assert (labels[:333] == 3).all()
    assert (labels[333:] == 255).all()
    batch = MODELS.build(config.model.data_preprocessor)(pseudo_collate([item]), training=True)
    grey = (128 - torch.tensor([122.7709, 116.7460, 104.0937])) / torch.tensor([68.5, 66.63, 70.32])
    torch.testing.assert_close(batch['inputs'][0, :, 383, 383], grey, atol=1e-3, rtol=0)


def test_vocabulary_of_the_shapes_ov_config():
    seen = load_vocabulary('shapes_ov_panoptic_base')
    assert seen.classes == tuple(name for name in ALL_CLASSES if name not in NOVEL_CLASSES)
    assert seen.things == tuple(name for name in THING_CLASSES if name not in NOVEL_CLASSES)
    assert len(seen.classes) == 58
    ids = dict(zip(ALL_CLASSES, load_vocabulary('shapes_ov_panoptic').ids, strict=True))
    assert seen.ids == tuple(ids[name] for name in seen.classes)


def write_shapes(config):
    """One image of four quarters: a base thing, a novel one, stuff, and nothing annotated."""
    names = ['red circle', NOVEL_CLASSES[0], 'grass']
    ids = np.zeros((256, 256, 3), np.uint8)
    for number, (y, x) in enumerate([(0, 0), (0, 128), (128, 0)], start=1):
        ids[y : y + 128, x : x + 128, 0] = number
    vocabulary = load_vocabulary('shapes_ov_panoptic')
    categories = [
        dict(id=key, name=name, isthing=int(name in vocabulary.things))
        for key, name in enumerate(vocabulary.classes, start=1)
    ]
    key_of = {entry['name']: entry['id'] for entry in categories}
    segments = [dict(id=i, category_id=key_of[name]) for i, name in enumerate(names, start=1)]
    for loader in (config.train_dataloader, config.val_dataloader):
        dataset = loader.dataset
        root = Path(dataset.data_root)
        for folder in dataset.data_prefix.values():
            (root / folder).mkdir(parents=True)
        Image.fromarray(ids).save(root / dataset.data_prefix.img_path / '1.jpg')
        Image.fromarray(ids).save(root / dataset.data_prefix.seg_map_path / '1.png')
        (root / dataset.ann_file).write_text(
            json.dumps(
                dict(
                    images=[dict(id=1, file_name='1.jpg', height=256, width=256)],
                    annotations=[dict(image_id=1, file_name='1.png', segments_info=segments)],
                    categories=categories,
                )
            )
        )


@pytest.mark.slow
def test_shapes_ov_config_trains_on_base_classes_and_tests_on_all():
    config = Config.fromfile(TWIN)
    write_shapes(config)
    train, val = (
        DATASETS.build(copy.deepcopy(loader.dataset))
        for loader in (config.train_dataloader, config.val_dataloader)
    )
    model = MODELS.build(config.model)
    assert model.train_classes == train.metainfo['classes']
    assert model.classes == val.metainfo['classes']
    # Which labels a crop may hold: the novel thing's pixels are unlabelled.
    learned = {train.metainfo['classes'].index(name) for name in ('red circle', 'grass')}
    seen = [set(train[0]['data_samples'].gt_sem_seg.data.unique().tolist()) for _ in range(20)]
    assert set.union(*seen) == {*learned, 255}
    novel = val.metainfo['classes'].index(NOVEL_CLASSES[0])
    labels = val[0]['data_samples'].gt_sem_seg.data[0]
    assert (labels[:128, 128:] == novel).all()
    data = model.data_preprocessor(pseudo_collate([train[0], train[0]]), training=True)
    assert data['inputs'].shape == (2, 3, 96, 96)
    losses = model(**data, mode='loss')
    assert losses['decode.loss_bce'].isfinite()
    model.eval()
    with torch.no_grad():
        (result,) = model.val_step(pseudo_collate([val[0]]))
    assert result.pred_sem_seg.data.shape == (1, 256, 256)
