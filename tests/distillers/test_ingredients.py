"""CLIPSelf with each loss and pooling after the paper: steps, checkpoints, resuming."""

import copy

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from clipself_mm.clip import build_tower
from tests.distillers.micro_clipself import (
    ALL_INGREDIENTS,
    INGREDIENTS,
    make_batch,
    make_model,
    raw_items,
)


def moved(model):
    """The model with a student that is no longer its teacher: distances have a gradient."""
    with torch.no_grad():
        for p in model.student.blocks.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return model.train()


@pytest.mark.parametrize('name', INGREDIENTS)
def test_steps_train_the_blocks_and_nothing_else(micro_clip, name):
    model = moved(make_model(micro_clip, **INGREDIENTS[name]))
    before = copy.deepcopy(model.state_dict())
    trainable = {f'student.{n}' for n, p in model.student.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for seed, counts in enumerate(([4, 2], [3, 0], [0, 0])):
        optimizer.zero_grad()
        total, values = model.parse_losses(model(*make_batch(counts, seed), mode='loss'))
        total.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
        optimizer.step()
    memories = {'distill_loss.mean', 'dense_losses.0.queue'} & set(before)
    assert bool(memories) == (name in ('relational', 'centred'))
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == trainable | memories
    assert all(p.grad is None for p in model.teacher.parameters())
    assert total.item() == 0  # of a batch without regions
    assert len(values) == 2 + len(model.dense_losses)


def test_the_losses_are_added_and_change_the_gradient(micro_clip):
    gradients = {}
    for name, options in dict(INGREDIENTS, plain={}).items():
        torch.manual_seed(0)
        model = moved(make_model(micro_clip, **options))
        model.load_state_dict(gradients.setdefault('', model.state_dict()), strict=False)
        model.parse_losses(model(*make_batch([4, 2]), mode='loss'))[0].backward()
        gradients[name] = model.student.blocks[0].attn.in_proj_weight.grad
    plain = gradients.pop('plain')
    gradients.pop('')
    assert not any(torch.allclose(value, plain, rtol=0.01) for value in gradients.values())


def test_the_image_loss_trains_what_image_embeddings_depend_on(micro_clip):
    """The queries of the last block too, which the dense map does not use."""
    model = moved(make_model(micro_clip, **INGREDIENTS['image']))
    losses = model(*make_batch([2, 1]), mode='loss')
    last = model.student.blocks[-1].attn.in_proj_weight
    for name, trained in (('loss_cosine', False), ('loss_image', True)):
        (grad,) = torch.autograd.grad(losses[name], last, retain_graph=True)
        query, key, value = grad.chunk(3)
        assert (bool(query.any()), bool(key.any()), bool(value.any())) == (trained, trained, True)


def test_half_precision_reaches_no_loss(micro_clip):
    model = moved(make_model(micro_clip, teacher_dtype='bfloat16', **ALL_INGREDIENTS))
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(*make_batch([3, 0, 2]), mode='loss')
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert model.distill_loss.mean.dtype == model.dense_losses[2].queue.dtype == torch.float32
    model.parse_losses(losses)[0].backward()


def test_a_loss_on_crops_and_a_teacher_cache_are_refused(micro_clip, tmp_path):
    pytest.importorskip('lmdb', reason='the extra cache is not installed')
    with pytest.raises(ValueError, match=r'ImageDistillLoss.*model\.teacher_cache'):
        make_model(micro_clip, teacher_cache=dict(folder=str(tmp_path)), **INGREDIENTS['image'])


def test_a_temperature_of_0_is_refused(micro_clip):
    with pytest.raises(ValueError, match=r'temperature.*\b0\b'):
        make_model(micro_clip, pooling=dict(type='SimilarityPooling', temperature=0))


def run(micro_clip, work_dir, epochs, resume=False):
    """Train with every ingredient; the final state."""
    torch.manual_seed(0)
    model = moved(make_model(micro_clip, **ALL_INGREDIENTS))
    runner = Runner(
        model,
        str(work_dir),
        train_dataloader=DataLoader(raw_items([3, 1, 0, 2, 4, 1]), 2, collate_fn=pseudo_collate),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        default_hooks=dict(checkpoint=dict(type='DurableCheckpointHook', interval=1)),
        custom_hooks=[dict(type='ResumeHook'), dict(type='FiniteLossHook')],
        resume=resume,
        experiment_name=f'{work_dir.name}-{epochs}',
    )
    return runner.train().state_dict()


def test_a_resumed_run_ends_as_the_unbroken_one_and_opens_as_a_tower(micro_clip, tmp_path):
    whole = run(micro_clip, tmp_path / 'whole', 3)
    first = run(micro_clip, tmp_path / 'parts', 1)
    resumed = run(micro_clip, tmp_path / 'parts', 3, resume=True)
    assert [key for key, value in whole.items() if not value.equal(resumed[key])] == []
    for memory in ('distill_loss.mean', 'dense_losses.2.queue'):
        assert not whole[memory].equal(first[memory])
    tower = build_tower(micro_clip, str(tmp_path / 'whole/epoch_3.pth')).state_dict()
    assert all(value.equal(whole[f'student.{key}']) for key, value in tower.items())
