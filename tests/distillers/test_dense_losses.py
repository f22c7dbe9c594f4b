"""CLIPSelf with losses on whole dense maps: loss values, trained and frozen parameters."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from clipself_mm.datasets import RegionSample
from clipself_mm.distillers import CLIPSelf
from clipself_mm.losses import CorrelationDistillLoss, image_cells
from tests.distillers.micro_clipself import CONTEXT, CORRELATION, make_batch, make_model


def declip(micro_clip, *losses, mode='qq'):
    return CLIPSelf(
        tower=dict(type='CLIPTower', model=micro_clip, last_block=mode),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
        dense_losses=losses,
    )


def test_cells_of_padding_alone_are_outside():
    """100 x 50 px at scale .32 are 32 x 16 px: 4 x 2 cells of 8 px; 34 x 17 px reach into 5 x 3."""
    whole, part = RegionSample(), RegionSample(metainfo=dict(ori_shape=(50, 100), scale=0.32))
    inside = image_cells([whole, part], (4, 5), 8)
    assert inside[0].all()
    assert inside[1].int().tolist() == [[1, 1, 1, 1, 0]] * 2 + [[0] * 5] * 2
    part.set_metainfo(dict(scale=0.34))
    assert image_cells([part], (4, 5), 8)[0].int().tolist() == [[1] * 5] * 3 + [[0] * 5]


def test_cosine_loss_stays_and_each_further_loss_has_its_name(micro_clip):
    plain = make_model(micro_clip)
    more = make_model(micro_clip, dense_losses=[CORRELATION])
    more.student.load_state_dict(plain.student.state_dict())
    more.teacher.load_state_dict(plain.teacher.state_dict())
    batch = make_batch([3, 1])
    with torch.no_grad():
        expected, found = plain(*batch, mode='loss'), more(*batch, mode='loss')
    assert list(expected) == ['loss_cosine']
    assert list(found) == ['loss_cosine', 'loss_correlation']
    assert found['loss_cosine'].equal(expected['loss_cosine'])
    total, _ = more.parse_losses(found)
    assert total == found['loss_cosine'] + found['loss_correlation']


def test_padding_comes_from_the_samples(micro_clip):
    """Half of the first image, 64 px, is padding; its values have no effect."""
    model = make_model(micro_clip, dense_losses=[CORRELATION])
    (inputs, samples), loss = make_batch([1, 1]), model.dense_losses[0]
    samples[0].set_metainfo(dict(ori_shape=(100, 50), scale=0.64))
    seen = []
    loss.forward = lambda batch: seen.append(batch.inside) or batch.dense.sum()
    model(inputs, samples, mode='loss')
    expected = torch.ones(2, 8, 8, dtype=torch.bool)
    expected[0, :, 4:] = False
    assert seen[0].equal(expected)


@pytest.mark.parametrize('mode', ['qq', 'csa'])
def test_steps_with_both_losses_train_the_blocks_and_nothing_else(micro_clip, mode):
    model = declip(micro_clip, CORRELATION, CONTEXT, mode=mode).train()
    with torch.no_grad():
        for p in model.student.blocks.parameters():  # else the correlations are at their least
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    foundation = model.dense_losses[1].foundation.network
    before, of_foundation = copy.deepcopy([model.state_dict(), foundation.state_dict()])
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        losses = model(*make_batch([4, 2], seed=step), mode='loss')
        assert list(losses) == ['loss_cosine', 'loss_correlation', 'loss_context']
        model.parse_losses(losses)[0].backward()
        optimizer.step()
    trained = {f'student.{n}' for n, p in model.student.named_parameters() if p.requires_grad}
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == trained
    last = {name for name in trained if '.resblocks.2.' in name}
    assert last
    assert not any('mlp' in name or 'ln_2' in name for name in last)
    assert not model.teacher.training
    assert all(v.equal(of_foundation[k]) for k, v in foundation.state_dict().items())
    # What a tower is opened from later: a leftover would be an error.
    assert all(key.startswith(('student.', 'teacher.')) for key in before)


def test_steps_on_summed_values_train_the_blocks_and_nothing_else(micro_clip):
    model = declip(micro_clip, mode='values-2').train()
    images = make_batch([0])[0]['images']
    crops = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before, target = copy.deepcopy(model.state_dict()), model.encode_crops(crops)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        losses.append(model(*make_batch([4, 2]), mode='loss')['loss_cosine'])
        losses[-1].backward()
        optimizer.step()
    assert losses[0] > losses[1] > losses[2]
    trained = {f'student.{n}' for n, p in model.student.named_parameters() if p.requires_grad}
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == trained
    assert not any('.resblocks.2.mlp' in name or '.resblocks.2.ln_2' in name for name in trained)
    assert model.encode_crops(crops).equal(target)
    assert model.eval().student.encode_dense(images).norm(dim=1).allclose(torch.ones(1))


def test_the_context_loss_reaches_queries_and_needs_them(micro_clip):
    model = declip(micro_clip, CONTEXT).train()
    model(*make_batch([2]), mode='loss')['loss_context'].backward()
    packed = model.student.blocks[-1].attn
    of_query, of_key, of_value = packed.in_proj_weight.grad.chunk(3)
    assert of_query.any()
    assert not of_key.any()
    assert not of_value.any()
    assert packed.out_proj.weight.grad is None
    value = declip(micro_clip, CONTEXT, mode='value')
    with pytest.raises(
        ValueError, match=r"ContextDistillLoss.*model\.tower.*last_block='qq'.*'csa'"
    ):
        value(*make_batch([2]), mode='loss')


def test_a_batch_without_regions_still_trains_on_whole_maps(micro_clip):
    model = declip(micro_clip, CORRELATION, CONTEXT).train()
    losses = model(*make_batch([0, 0]), mode='loss')
    assert losses['loss_cosine'].item() == 0
    model.parse_losses(losses)[0].backward()
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trainable)


@pytest.mark.parametrize('losses', [(), (CORRELATION, CONTEXT)])
@pytest.mark.parametrize('kind', ['openai', 'eva02'])
def test_distributed_training_finds_no_unused_parameter(
    micro_clip, tmp_path, monkeypatch, kind, losses
):
    """DDP raises in the second step if a parameter had no gradient in the first."""
    model = declip(micro_clip, *losses)
    if kind == 'eva02':
        model = eva02_student(monkeypatch, *losses)
    distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/group', rank=0, world_size=1
    )
    try:
        wrapped = DistributedDataParallel(model.train())
        for step in range(2):
            parsed, _ = model.parse_losses(wrapped(*make_batch([2], seed=step), mode='loss'))
            parsed.backward()
    finally:
        distributed.destroy_process_group()


def eva02_student(monkeypatch, *losses):
    """DeCLIP on a small EVA-02 as in the fixtures, patch size 16, built without the registry."""
    from clipself_mm.clip.build_tower import set_last_block
    from tests.clip.small_towers import small_tower

    def build(config, *args, **kwargs):
        if config['type'] != 'SmallTower':
            return registered(config, *args, **kwargs)
        tower = small_tower('eva02')
        set_last_block(tower, 'qq')
        return tower

    registered = MODELS.build
    monkeypatch.setattr(MODELS, 'build', build)
    return CLIPSelf(
        tower=dict(type='SmallTower'),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
        dense_losses=losses,
    )


def test_training_reads_the_foundation_models_weights_first(micro_clip):
    """mmengine's runner calls ``init_weights`` before the first step."""
    model = declip(micro_clip, CORRELATION, CONTEXT)
    foundation = model.dense_losses[1].foundation
    assert not foundation.ready
    model.init_weights()
    assert foundation.ready


def test_a_loss_that_mmengine_would_not_add_up_raises(micro_clip, monkeypatch):
    monkeypatch.setattr(CorrelationDistillLoss, 'name', 'relational')
    with pytest.raises(ValueError, match=r"dense_losses.*\['relational'\]"):
        make_model(micro_clip, dense_losses=[CORRELATION])


def test_two_losses_of_the_same_name_raise(micro_clip):
    with pytest.raises(
        ValueError, match=r"\['loss_cosine', 'loss_correlation', 'loss_correlation'\]"
    ):
        declip(micro_clip, CORRELATION, CORRELATION)
