"""Which parameters train when attention alone is fine-tuned, and that all of them are reached."""

import pytest
import torch

from clipself_mm.clip.attention_unlock import unlock_attention

from .small_towers import images_of, small_tower

PACKED = ['attn.in_proj_bias', 'attn.in_proj_weight']
SPLIT = ['attn.q_proj.bias', 'attn.q_proj.weight', 'attn.v_proj.bias', 'attn.v_proj.weight']
FUSED = ['attn.qkv.bias', 'attn.qkv.weight']
SPLIT_LAST = ['attn.v_proj.bias', 'attn.v_proj.weight']


def leaves(names, block):
    mark = f'blocks.{block}.'
    return sorted(name.split(mark)[1] for name in names if mark in name)


@pytest.mark.parametrize(
    ('kind', 'in_a_block', 'in_the_last', 'table'),
    [
        ('patch16', PACKED, PACKED, 'visual.positional_embedding'),
        ('eva02', SPLIT, SPLIT_LAST, 'visual.trunk.pos_embed'),
        ('mobileclip2_l', FUSED, FUSED, 'visual.trunk.pos_embed'),
    ],
)
def test_queries_and_values_train(kind, in_a_block, in_the_last, table):
    tower = small_tower(kind)
    names = unlock_attention(tower)
    assert names == [name for name, item in tower.named_parameters() if item.requires_grad]
    assert set(leaves(names, 0)) <= set(in_a_block)
    assert {'attn.q_proj.weight', 'attn.qkv.weight', 'attn.in_proj_weight'} & set(leaves(names, 0))
    assert set(leaves(names, len(tower.blocks) - 1)) <= set(in_the_last)
    assert leaves(names, 0) == leaves(names, 1)
    assert [name for name in names if 'blocks.' not in name] == [table]
    assert not any('k_proj' in name for name in names)


@pytest.mark.parametrize('kind', ['patch16', 'quickgelu', 'clipa', 'eva01', 'eva02', 'siglip'])
def test_every_one_gets_a_gradient_and_no_other(kind):
    tower = small_tower(kind)
    names = unlock_attention(tower)
    (tower.encode_dense(images_of(tower, 3, 5)) * torch.randn(1, tower.dim, 3, 5)).sum().backward()
    reached = [
        name
        for name, item in tower.named_parameters()
        if item.grad is not None and item.grad.abs().sum() > 0
    ]
    assert reached == names


def test_positions_may_stay():
    tower = small_tower('patch16')
    names = unlock_attention(tower, positions=False)
    assert names
    assert all('blocks.' in name for name in names)
    assert not tower.trains_stem


def test_after_a_freeze_it_trains_again():
    tower = small_tower('patch16')
    tower.freeze()
    names = unlock_attention(tower)
    tower.encode_dense(images_of(tower, 2, 2)).sum().backward()
    assert all(dict(tower.named_parameters())[name].grad is not None for name in names)
