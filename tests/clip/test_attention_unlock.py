"""Which parameters train when attention alone is fine-tuned, and that all of them are reached."""

import pytest
import torch
from open_clip.transformer import TextTransformer

from clipself_mm.clip.attention_unlock import unlock_attention, unlock_text_attention

from .small_towers import images_of, small_tower

PACKED = ['attn.in_proj_weight']
FUSED = ['attn.qkv.weight']
APART = ['attn.q_proj.weight', 'attn.v_proj.weight']


def leaves(names, block):
    mark = f'blocks.{block}.'
    return sorted(name.split(mark)[1] for name in names if mark in name)


def small_text():
    torch.manual_seed(0)
    return TextTransformer(context_length=7, vocab_size=20, width=32, heads=2, layers=2)


@pytest.mark.parametrize(
    ('kind', 'in_a_block', 'in_the_last'),
    [
        ('patch16', PACKED, PACKED),
        ('eva02', APART, ['attn.v_proj.weight']),  # no dense feature depends on its queries
        ('mobileclip2_l', FUSED, FUSED),
    ],
)
def test_only_query_and_value_weights_train(kind, in_a_block, in_the_last):
    tower = small_tower(kind)
    names = unlock_attention(tower)
    assert names == [name for name, item in tower.named_parameters() if item.requires_grad]
    last = len(tower.blocks) - 1
    assert [leaves(names, block) for block in range(last)] == last * [in_a_block]
    assert leaves(names, last) == in_the_last
    assert all('blocks.' in name for name in names)  # no positions


def test_unlocked_text_tower_trains_query_and_value_weights():
    text = small_text()
    names = unlock_text_attention(text)
    assert names == [f'transformer.resblocks.{block}.attn.in_proj_weight' for block in (0, 1)]
    with pytest.raises(NotImplementedError, match=r'TextTransformer.*Linear'):
        unlock_text_attention(torch.nn.Linear(2, 2))


@pytest.mark.parametrize('kind', ['patch16', 'mobileclip2_l', 'text'])
def test_keys_of_a_packed_weight_do_not_train(kind):
    """Over three steps of AdamW without decay the middle third does not move, the others do."""
    if kind == 'text':
        tower = small_text()
        names = unlock_text_attention(tower)
        tokens = torch.tensor([[1, 5, 19, 0, 0, 0, 0], [1, 3, 4, 6, 19, 0, 0]])
        run = lambda: tower(tokens).pow(3).sum()  # noqa: E731
    else:
        tower = small_tower(kind)
        names = unlock_attention(tower)
        images = images_of(tower, 3, 5)
        weights = torch.randn(1, tower.dim, 3, 5)
        run = lambda: (tower.encode_dense(images) * weights).sum()  # noqa: E731
    parameters = dict(tower.named_parameters())
    weight = parameters[names[0]]
    before = weight.detach().clone().chunk(3)
    optimizer = torch.optim.AdamW([parameters[name] for name in names], 1e-2, weight_decay=0)
    for _ in range(3):
        optimizer.zero_grad()
        run().backward()
        optimizer.step()
    query, key, value = weight.detach().chunk(3)
    assert torch.equal(key, before[1])
    assert (query - before[0]).abs().max() > 1e-3
    assert (value - before[2]).abs().max() > 1e-3


@pytest.mark.parametrize('kind', ['patch16', 'quickgelu', 'clipa', 'eva01', 'eva02', 'siglip'])
def test_exactly_the_unlocked_parameters_get_a_gradient(kind):
    tower = small_tower(kind)
    names = unlock_attention(tower)
    (tower.encode_dense(images_of(tower, 3, 5)) * torch.randn(1, tower.dim, 3, 5)).sum().backward()
    reached = [
        name
        for name, item in tower.named_parameters()
        if item.grad is not None and item.grad.abs().sum() > 0
    ]
    assert reached == names


def test_unlock_after_freeze_trains_again():
    tower = small_tower('patch16')
    tower.freeze()
    names = unlock_attention(tower)
    tower.encode_dense(images_of(tower, 2, 2)).sum().backward()
    assert all(dict(tower.named_parameters())[name].grad is not None for name in names)
