"""Gradient accumulation, and parameters without gradients under DDP."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope

from clipself_mm.datasets import SeededIndex
from tests.commands import ROOT
from tests.distillers.micro_clipself import make_batch, make_model


def gradients(model, batches, accumulate):
    """Accumulated gradients after the batches."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    wrapper = OptimWrapper(
        torch.optim.SGD(trained.values(), lr=0.0), accumulative_counts=accumulate
    )
    wrapper.initialize_count_status(model, 0, -1)
    for number, (inputs, samples) in enumerate(batches, start=1):
        with wrapper.optim_context(model):
            loss = model(inputs, samples, mode='loss')['loss_cosine']
        wrapper.backward(wrapper.scale_loss(loss))
        assert wrapper.should_update() == (number == accumulate)
    return {name: p.grad.clone() for name, p in trained.items()}


def split(inputs, samples, counts):
    first = 0
    for index, count in enumerate(counts):
        images, crops = inputs['images'][index : index + 1], inputs['crops'][first : first + count]
        yield dict(images=images, crops=crops), samples[index : index + 1]
        first += count


def test_two_batches_of_one_with_equally_many_regions_are_a_batch_of_two(micro_clip):
    model = make_model(micro_clip)
    counts = [3, 3]
    batch = make_batch(counts)
    one = gradients(copy.deepcopy(model), [batch], 1)
    two = gradients(copy.deepcopy(model), list(split(*batch, counts)), 2)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-7)


def test_a_region_of_a_batch_with_few_counts_more(micro_clip):
    """With 1 and 3 regions: the mean of the two means, not the mean over all four."""
    model = make_model(micro_clip)
    counts = [1, 3]
    batch = make_batch(counts)
    parts = list(split(*batch, counts))
    two = gradients(copy.deepcopy(model), parts, 2)
    each = [gradients(copy.deepcopy(model), [part], 1) for part in parts]
    whole = gradients(copy.deepcopy(model), [batch], 1)
    gap = 0
    for name, value in two.items():
        first, second = (part[name] for part in each)
        torch.testing.assert_close(value, (first + second) / 2, rtol=1e-4, atol=1e-7)
        wanted = (first + 3 * second) / 4
        torch.testing.assert_close(whole[name], wanted, rtol=1e-3, atol=1e-7)
        gap = max(gap, float((value - whole[name]).abs().max()))
    assert gap > 1e-4


DISTILLERS = [
    'clipself_tiny_patches_shapes-ov.py',
    'clipself_tiny_proposals_shapes-ov.py',
    'clipself_tiny_scd_shapes-ov.py',
    'clipself_tiny_declip_shapes-ov.py',
    'clipself_tiny_values3_shapes-ov.py',
    'region-text_tiny_shapes-ov.py',
    'image-text_tiny_shapes-ov.py',
]


@pytest.mark.slow
@pytest.mark.parametrize('blocks', [None, 2])
@pytest.mark.parametrize('name', DISTILLERS)
def test_every_parameter_that_trains_gets_a_gradient(name, blocks, shapes):
    """So DDP does not need `find_unused_parameters`, and no config sets it."""
    config = Config.fromfile(ROOT / 'configs/shapes' / name)
    config.model.unlocked_blocks = blocks
    if 'classifier' in config.model:  # only for validation, and seconds of text to encode
        config.model.classifier = None
    assert not config.get('find_unused_parameters', False)
    assert 'model_wrapper_cfg' not in config
    init_default_scope(config.default_scope)
    loader = config.train_dataloader
    loader.dataset.data_root = f'{shapes}/'
    if loader.dataset.type == 'RegionTextPairs':  # true boxes in place of a detector's
        loader.dataset.update(ann_file='annotations/instances_train_all.json')
        loader.dataset.update(vocabulary='shapes_ov')
    dataset = DATASETS.build(loader.dataset)
    model = MODELS.build(config.model).train()
    batch = pseudo_collate([dataset[SeededIndex(index, seed=1)] for index in range(2)])
    losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert [name for name, p in trained.items() if p.grad is None] == []
