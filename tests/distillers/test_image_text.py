"""Image-level supervision: loss by hand, trained parameters, data."""

import copy
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, HOOKS, MODELS, init_default_scope
from mmengine.structures import InstanceData

from clipself_mm.clip import CaptionEncoder, TextTower
from clipself_mm.datasets import RegionSample, SeededIndex
from clipself_mm.distillers import ImageText
from clipself_mm.optim import NoBiasDecayConstructor
from tests.commands import ROOT
from tests.factories import write_micro_clip
from tests.parity.fixtures import fixture_json
from tests.parity.tiny_towers import build_tower

CAPTIONS = ['a red star on grass', 'two cups', 'nothing at all']
SIZE = 48  # not the 32 px that the micro CLIP is made for


def make_model(micro_clip, **options):
    return ImageText(
        tower=dict(type='CLIPTower', model=micro_clip),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=SIZE),
        **options,
    )


def make_batch(captions=CAPTIONS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(len(captions), 3, SIZE, SIZE, generator=generator)
    none = torch.zeros(0, 4)
    samples = [
        RegionSample(metainfo=dict(caption=caption), regions=InstanceData(boxes_px=none))
        for caption in captions
    ]
    return dict(images=images, crops=torch.zeros(0, 3, 1, 1)), samples


def test_captions_are_encoded_as_open_clip_does(micro_clip):
    import open_clip

    plain = open_clip.create_model(micro_clip, load_weights=True).eval()
    tokens = open_clip.get_tokenizer(micro_clip)(CAPTIONS)
    with torch.no_grad():
        expected = plain.encode_text(tokens, normalize=True)
    encoded = CaptionEncoder(dict(model=micro_clip)).encode(CAPTIONS)
    torch.testing.assert_close(encoded, expected, rtol=1e-5, atol=1e-6)


def test_captions_are_encoded_by_the_towers_clip_by_default(micro_clip, tmp_path):
    other = write_micro_clip(tmp_path / 'other', seed=7)
    own, named = make_model(micro_clip), make_model(other, text=dict(model=micro_clip))
    expected = CaptionEncoder(dict(model=micro_clip)).encode(CAPTIONS)
    assert torch.equal(own.captions.encode(CAPTIONS), expected)
    assert torch.equal(named.captions.encode(CAPTIONS), expected)
    with pytest.raises(ValueError, match=r'`model\.text`'):
        make_model('ViT-B-32').captions.encode(CAPTIONS)


def test_loss_by_a_plain_loop_over_both_directions(micro_clip):
    model = make_model(micro_clip)
    inputs, samples = make_batch()
    loss = model(inputs, samples, mode='loss')['loss_contrastive']
    text_tower = TextTower(micro_clip)
    with torch.no_grad():
        images = model.student.encode_image(inputs['images'])
        texts = text_tower.encode_text(text_tower.tokenizer(CAPTIONS))
    cosines = torch.cosine_similarity(images[:, None], texts[None], dim=-1).tolist()
    total = 0.0
    for own in range(3):
        row = [math.exp(cosines[own][other] / 0.07) for other in range(3)]
        column = [math.exp(cosines[other][own] / 0.07) for other in range(3)]
        total -= math.log(row[own] / sum(row)) + math.log(column[own] / sum(column))
    assert loss.item() == pytest.approx(total / 6, rel=1e-4)


@pytest.mark.parametrize('unlocked', [None, 1])
def test_training_changes_unlocked_blocks_alone_and_no_part_of_the_text_side(micro_clip, unlocked):
    model = make_model(micro_clip, unlocked_blocks=unlocked).train()
    before = copy.deepcopy(model.state_dict())
    assert not any('captions' in key or key.startswith('text') for key in before)
    of_text = copy.deepcopy(model.captions.tower.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(*make_batch(), mode='loss')['loss_contrastive'].backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    first = 0 if unlocked is None else 3 - unlocked
    blocks = tuple(f'student.visual.transformer.resblocks.{i}.' for i in range(first, 3))
    assert changed
    assert all(key.startswith(blocks) for key in changed)
    assert all(any(key.startswith(block) for key in changed) for block in blocks)
    after = model.captions.tower.state_dict()
    assert all(value.equal(after[key]) for key, value in of_text.items())


def set_logit_scale(model):
    model.logit_scale = torch.tensor(1 / 0.07)


def test_queries_and_keys_of_the_last_block_train(monkeypatch, micro_clip):
    """CLIPSelf leaves them frozen."""
    eva = build_tower('eva_tiny_weights', fixture_json('config.json'))
    eva.unlock_blocks(None)
    off_path = eva.parameters_off_value_path(eva.blocks[-1])
    assert off_path
    assert not any(parameter.requires_grad for parameter in off_path)
    build = MODELS.build
    monkeypatch.setattr(
        'clipself_mm.distillers.region_preprocessor.MODELS.build',
        lambda config: eva if config.get('type') == 'CLIPTower' else build(config),
    )
    monkeypatch.setattr('clipself_mm.distillers.ImageText.register_logit_scale', set_logit_scale)
    model = make_model(micro_clip).train()
    side = 2 * eva.patch_size
    embedded = model.student.encode_image(torch.randn(2, 3, side, side))
    embedded.square().sum().backward()
    trained = [p for p in model.student.parameters() if p.requires_grad]
    assert {id(p) for p in off_path} < {id(p) for p in trained}
    assert all(p.grad is not None and p.grad.any() for p in off_path)
    assert all(p.grad is not None for p in trained)


def test_nothing_trains_with_zero_unlocked_blocks(micro_clip):
    model = make_model(micro_clip, unlocked_blocks=0)
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ('name', 'batch', 'split'),
    [
        ('clipself/image-text_eva02-b16_8xb2-6e_coco', 2, None),
        ('shapes/image-text_tiny_shapes-ov', 16, 'train'),
    ],
)
def test_config_builds_and_trains_every_parameter_of_the_blocks(name, batch, split):
    config = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    init_default_scope(config.default_scope)
    if split is None:
        config.model.tower.checkpoint = None
    with torch.device('meta' if split is None else 'cpu'):
        model = MODELS.build(config.model)
    constructor = NoBiasDecayConstructor(dict(config.optim_wrapper, constructor=None) | {})
    constructor.optim_wrapper_cfg.pop('constructor')
    groups = constructor(model).optimizer.param_groups
    trained = {id(p) for group in groups for p in group['params']}
    assert trained == {id(p) for p in model.student.blocks.parameters()}
    assert config.train_dataloader.batch_size == batch
    HOOKS.build(config.default_hooks.weight_ensemble)
    dataset = DATASETS.build({**config.train_dataloader.dataset, 'lazy_init': True})
    assert type(dataset).__name__ == 'CaptionedImages'
    assert 'distill_loss' not in config.model


@pytest.mark.slow
def test_a_batch_of_shapes_ov_reaches_the_loss(shapes):
    config = Config.fromfile(ROOT / 'configs/shapes/image-text_tiny_shapes-ov.py')
    init_default_scope(config.default_scope)
    config.train_dataloader.dataset.data_root = f'{shapes}/'
    dataset = DATASETS.build(config.train_dataloader.dataset)
    model = MODELS.build(config.model).train()
    batch = pseudo_collate([dataset[SeededIndex(index, 0, 1)] for index in range(2)])
    data = model.data_preprocessor(batch, training=True)
    assert data['inputs']['images'].shape == (2, 3, 128, 128)
    captions = [sample.caption for sample in data['data_samples']]
    assert all(' on ' in caption for caption in captions)
    loss = model(**data, mode='loss')['loss_contrastive']
    assert np.isfinite(loss.item())
