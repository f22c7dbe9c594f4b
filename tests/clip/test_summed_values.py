"""Dense maps of ``values-K`` against a loop over raw weights, and what they leave as it was."""

import pytest
import torch
import torch.nn.functional as F
from timm.models.eva import EvaBlockPostNorm
from torch import nn

from clipself_mm.clip import build_tower
from clipself_mm.clip.build_tower import set_last_block
from tests.clip.small_towers import CLASS_TOKEN, images_of, native_images, small_tower


def tower_in(mode, kind, **changes):
    tower = small_tower(kind, **changes)
    set_last_block(tower, mode)
    return tower


def values_of_open_clip(visual, images):
    """Value branch of every block on its own input, (N, L, C) each, and open_clip's head."""
    tokens, branches = visual._embeds(images), []
    for block in visual.transformer.resblocks:
        width = tokens.shape[-1]
        normed = F.layer_norm(tokens, (width,), block.ln_1.weight, block.ln_1.bias, block.ln_1.eps)
        value = normed @ block.attn.in_proj_weight[2 * width :].T
        value = value + block.attn.in_proj_bias[2 * width :]
        out = value @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
        branches.append(out * getattr(block.ls_1, 'gamma', 1))
        tokens = block(tokens)
    return branches, lambda x: visual.ln_post(x) @ visual.proj


def values_of_timm(visual, images):
    """The same by timm's modules."""
    trunk = visual.trunk
    tokens = trunk._pos_embed(trunk.patch_embed(images))
    tokens, rope = tokens if isinstance(tokens, tuple) else (tokens, None)
    tokens, branches = trunk.norm_pre(tokens), []
    for block in trunk.blocks:
        attention, width = block.attn, tokens.shape[-1]
        post_norm = isinstance(block, EvaBlockPostNorm)
        normed = tokens if post_norm else block.norm1(tokens)
        if attention.qkv is None:
            value = normed @ attention.v_proj.weight.T + attention.v_proj.bias
        else:
            value = normed @ attention.qkv.weight[2 * width :].T
            bias = attention.qkv.bias
            value = value + (attention.v_bias if bias is None else bias[2 * width :])
        out = attention.norm(value) @ attention.proj.weight.T + attention.proj.bias
        out = block.norm1(out) if post_norm else getattr(block, 'ls1', nn.Identity())(out)
        branches.append(out)
        tokens = block(tokens) if rope is None else block(tokens, rope=rope)
    return branches, lambda x: visual.head(trunk.head(trunk.fc_norm(trunk.norm(x))))


@torch.no_grad()
@pytest.mark.parametrize('kind', CLASS_TOKEN)
def test_dense_features_are_the_projected_sum_of_the_last_value_branches(kind):
    tower = small_tower(kind)
    images = native_images(tower)
    reference = values_of_timm if hasattr(tower.visual, 'trunk') else values_of_open_clip
    branches, head = reference(tower.visual, images)
    side = (tower.image_size // tower.patch_size,) * 2
    for count in range(1, len(branches) + 1):
        set_last_block(tower, f'values-{count}')
        expected = F.normalize(head(sum(branches[-count:])[:, 1:]), dim=-1)
        dense, context = tower.encode_dense_context(images)
        assert context is None
        assert dense.is_contiguous()
        expected = expected.transpose(1, 2).unflatten(2, side)
        torch.testing.assert_close(dense, expected, rtol=1e-4, atol=1e-5)
    assert tower.dense_path == f'sum of the value branches of the last {count} blocks'


@torch.no_grad()
@pytest.mark.parametrize('kind', ['patch16', 'eva02', 'mobileclip2_l'])
def test_images_masked_regions_and_earlier_stages_do_not_change(kind):
    plain, tower = small_tower(kind), tower_in('values-3', kind)
    images = images_of(tower, 2, 5)
    masks = [torch.ones(1, 2, 5)] * 2
    assert tower.encode_image(images).equal(plain.encode_image(images))
    found = tower.encode_regions_masked(images, masks)
    assert found.equal(plain.encode_regions_masked(images, masks))
    dense = tower.encode_dense(images)
    for chosen in ([0], [0, 1], [0, 2]):
        maps, beside = tower.stages(images, chosen, with_dense=True)
        torch.testing.assert_close(beside, dense)
        earlier, _ = plain.stages(images, [index for index in chosen if index < 2])
        assert all(one.equal(other) for one, other in zip(maps, earlier, strict=False))
    # The last map is the sum, from which the dense map is made.
    tokens = tower.project(maps[1].flatten(2).transpose(1, 2))
    torch.testing.assert_close(F.normalize(tokens, dim=-1).transpose(1, 2), dense.flatten(2))


def gradients_of(tower, rows=2, columns=2):
    tower.train().encode_dense(images_of(tower, rows, columns))[:, 0].sum().backward()
    return {name: p.grad for name, p in tower.named_parameters() if p.grad is not None}


@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('kind', CLASS_TOKEN)
def test_exactly_the_unlocked_parameters_get_a_gradient(kind, count):
    tower = tower_in('values-2', kind)
    tower.unlock_blocks(count)
    gradients = gradients_of(tower)
    assert gradients.keys() == {n for n, p in tower.named_parameters() if p.requires_grad}
    names = [n for n, m in tower.named_modules() if m in list(tower.blocks)]
    parts = {
        number: {n.removeprefix(f'{name}.') for n in gradients if n.startswith(f'{name}.')}
        for number, name in enumerate(names, start=-len(names))
    }
    assert sum(map(len, parts.values())) == len(gradients)
    assert {number for number, own in parts.items() if own} == set(range(-count, 0))
    off_path = ('mlp', 'norm2', 'ln_2', 'ls_2', 'ls2', 'attn.q_', 'attn.k_')
    assert parts[-1] == {n for n in parts[-1] if not n.startswith(off_path)}
    assert {n.split('.')[0] for n in parts[-1]} >= {'attn'}
    if kind == 'eva02':
        values = {'attn.v_proj', 'attn.norm', 'attn.proj', 'norm1'}
        assert {n.rpartition('.')[0] for n in parts[-1]} == values
    if count == 2:  # the block before the last runs in full, for the input of the last
        assert {n for n, _ in tower.blocks[-2].named_parameters()} == parts[-2]
    for name, gradient in gradients.items():
        if name.endswith(('in_proj_weight', 'qkv.weight')):
            query, key, value = gradient.chunk(3)
            assert value.any()
            assert query.any() == key.any() == (not name.startswith(names[-1]))


def test_activation_checkpointing_does_not_change_gradients():
    gradients = []
    for recomputed in (False, True):
        tower = tower_in('values-2', 'eva02')
        tower.unlock_blocks(2)
        tower.activation_checkpointing = recomputed
        gradients.append(gradients_of(tower))
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-6, atol=0)


@pytest.mark.parametrize('mode', ['values-0', 'values-4', 'values-99', 'value-3', 'values-03', 3])
def test_a_wrong_mode_names_what_is_possible(micro_clip, mode):
    expected = rf'last_block.*value, qq, csa, or values-K with K from 1 to 3.*{mode!r}'
    with pytest.raises(ValueError, match=expected):
        build_tower(micro_clip, last_block=mode)


def test_config_sets_the_number_of_blocks(micro_clip):
    assert build_tower(micro_clip, last_block='values-3').dense_path.endswith('last 3 blocks')


@pytest.mark.parametrize('kind', ['siglip', 'clipa', 'pe_core', 'resnet'])
def test_towers_without_class_token_pooling_raise(kind):
    tower = small_tower(kind)
    with pytest.raises(NotImplementedError, match=f"'values-3'.*{type(tower).__name__}.*'value'"):
        set_last_block(tower, 'values-3')
