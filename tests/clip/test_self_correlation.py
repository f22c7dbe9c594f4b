"""DeCLIP's last block against attention matrices written out, and what it leaves as it was."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import apply_rot_embed_cat
from timm.models.eva import EvaBlockPostNorm

from clipself_mm.clip import build_tower
from clipself_mm.clip.build_tower import set_last_block
from clipself_mm.clip.self_correlation import self_correlation
from tests.clip.small_towers import CLASS_TOKEN, images_of, native_images, small_tower

MODES = ('qq', 'csa')


def tower_in(mode, kind, **changes):
    tower = small_tower(kind, **changes)
    set_last_block(tower, mode)
    return tower


def written_out(query, key, value, heads, mode, turn=lambda features: features):
    """Head by head, every matrix in full: mixed values and turned queries, (N, L, C)."""
    mixed, turned = [], []
    for q, k, v in zip(*(item.chunk(heads, dim=-1) for item in (query, key, value)), strict=True):
        q, k = turn(q), turn(k)
        weights = (q @ q.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
        if mode == 'csa':
            weights = weights + (k @ k.mT / k.shape[-1] ** 0.5).softmax(dim=-1)
        mixed.append(weights @ v)
        turned.append(q)
    return torch.cat(mixed, dim=-1), torch.cat(turned, dim=-1)


def of_open_clip(visual, images, mode):
    """Branch and queries of the last block by open_clip's own modules, and its head."""
    tokens = visual._embeds(images)
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        tokens = block(tokens)
    attention = last.attn
    q, k, v = F.linear(last.ln_1(tokens), attention.in_proj_weight, attention.in_proj_bias).chunk(
        3, dim=-1
    )
    mixed, queries = written_out(q, k, v, attention.num_heads, mode)
    return last.ls_1(attention.out_proj(mixed)), queries, lambda x: visual.ln_post(x) @ visual.proj


def of_timm(visual, images, mode):
    """The same by timm's, whose rotary tables come from its own embedding."""
    trunk = visual.trunk
    tokens = trunk._pos_embed(trunk.patch_embed(images))
    tokens, rope = tokens if isinstance(tokens, tuple) else (tokens, None)
    tokens = trunk.norm_pre(tokens)
    for block in trunk.blocks[:-1]:
        tokens = block(tokens) if rope is None else block(tokens, rope=rope)
    last, prefix = trunk.blocks[-1], trunk.num_prefix_tokens
    post_norm = isinstance(last, EvaBlockPostNorm)
    attention, normed = last.attn, tokens if post_norm else last.norm1(tokens)
    if attention.qkv is None:
        q, k, v = attention.q_proj(normed), attention.k_proj(normed), attention.v_proj(normed)
    else:
        q, k, v = attention.qkv(normed).chunk(3, dim=-1)
        if getattr(attention, 'q_bias', None) is not None:
            q, v = q + attention.q_bias, v + attention.v_bias

    def turn(features):
        patches = apply_rot_embed_cat(features[:, prefix:], rope)
        return torch.cat([features[:, :prefix], patches], dim=1)

    mixed, queries = written_out(
        q, k, v, attention.num_heads, mode, *([turn] if rope is not None else [])
    )
    mixed = attention.proj(attention.norm(mixed))
    mixed = last.norm1(mixed) if post_norm else getattr(last, 'ls1', torch.nn.Identity())(mixed)
    return mixed, queries, lambda x: visual.head(trunk.head(trunk.fc_norm(trunk.norm(x))))


@torch.no_grad()
@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('kind', CLASS_TOKEN)
def test_dense_features_and_context_equal_explicit_matrices(kind, mode):
    tower = tower_in(mode, kind)
    images = native_images(tower)
    reference = of_timm if hasattr(tower.visual, 'trunk') else of_open_clip
    branch, queries, head = reference(tower.visual, images, mode)
    dense, context = tower.encode_dense_context(images)
    side = (tower.image_size // tower.patch_size,) * 2
    for found, expected in ((dense, head(branch)), (context, queries)):
        expected = expected[:, 1:].transpose(1, 2).unflatten(2, side)
        scale = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * scale)
        assert found.is_contiguous()
    assert (dense.norm(dim=1) - 1).abs().min() > 0.01  # not normalised
    torch.testing.assert_close(tower.encode_dense(images), dense)


def test_two_equal_tokens_share_their_values_and_csa_has_twice_the_weight():
    """One head, d = 1: q = 0 weighs both alike; k = (0, 2): a row of (4, 0) for the second."""
    value = torch.tensor([[[1.0], [5.0]]])
    query, key = torch.zeros(1, 2, 1), torch.tensor([[[0.0], [2.0]]])
    qq, context = self_correlation(query, None, value, heads=1)
    assert qq.flatten().tolist() == [3, 3]
    assert context.equal(query)
    csa, _ = self_correlation(query, key, value, heads=1)
    share = 1 / (1 + torch.tensor(4.0).exp())
    expected = torch.tensor([3 + 3, 3 + share * 1 + (1 - share) * 5])
    torch.testing.assert_close(csa.flatten(), expected)


@torch.no_grad()
@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('kind', ['patch16', 'eva02', 'mobileclip2_l'])
def test_images_masked_regions_and_earlier_stages_do_not_change(kind, mode):
    plain, tower = small_tower(kind), tower_in(mode, kind)
    images = images_of(tower, 2, 5)
    masks = [torch.ones(1, 2, 5)] * 2
    assert tower.encode_image(images).equal(plain.encode_image(images))
    found = tower.encode_regions_masked(images, masks)
    assert found.equal(plain.encode_regions_masked(images, masks))
    maps, dense = tower.stages(images, [0, 2], with_dense=True)
    plain_maps, plain_dense = plain.stages(images, [0, 2], with_dense=True)
    assert maps[0].equal(plain_maps[0])
    assert maps[1].shape == (2, tower.width, 2, 5)
    assert not torch.allclose(maps[1], plain_maps[1])
    assert not torch.allclose(F.normalize(dense, dim=1), plain_dense)
    torch.testing.assert_close(dense, tower.encode_dense(images))
    # The last map is the branch alone, from which the dense map is made.
    tokens = maps[1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(tower.project(tokens).transpose(1, 2), dense.flatten(2))
    assert plain.encode_dense_context(images)[1] is None


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('kind', CLASS_TOKEN)
def test_exactly_the_unlocked_parameters_get_a_gradient(kind, mode):
    tower = tower_in(mode, kind)
    tower.unlock_blocks(None)
    tower.train()
    tower.encode_dense(images_of(tower, 2, 2))[:, 0].sum().backward()
    moved = {n for n, p in tower.named_parameters() if p.grad is not None}
    assert moved == {n for n, p in tower.named_parameters() if p.requires_grad}
    place = next(n for n, m in tower.named_modules() if m is tower.blocks[-1])
    of_last = {n.removeprefix(f'{place}.') for n in moved if n.startswith(f'{place}.')}
    assert not {n for n in of_last if n.startswith(('mlp', 'norm2', 'ln_2', 'ls_2', 'ls2'))}
    assert {n.split('.')[0] for n in of_last} >= {'attn'}
    if kind == 'eva02':
        own = {n for n in of_last if n.startswith(('attn.q', 'attn.k'))}
        queries = {'attn.q_proj.weight', 'attn.q_proj.bias'}
        assert own == (queries if mode == 'qq' else {*queries, 'attn.k_proj.weight'})
        assert all(p.grad.any() for n, p in tower.blocks[-1].named_parameters() if n in own)


def test_activation_checkpointing_does_not_change_gradients():
    gradients = []
    for recomputed in (False, True):
        tower = tower_in('csa', 'eva02')
        tower.unlock_blocks(2)
        tower.activation_checkpointing = recomputed
        dense, context = tower.train().encode_dense_context(images_of(tower, 2, 3))
        (dense[:, 0].sum() + context.square().sum()).backward()
        gradients.append({n: p.grad for n, p in tower.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-6, atol=0)


@pytest.mark.parametrize('mode', MODES)
def test_bfloat16_autocast_stays_close(mode):
    tower = tower_in(mode, 'eva02')
    images = images_of(tower, 4, 4)
    with torch.no_grad():
        exact = tower.encode_dense(images)
        with torch.autocast('cpu', torch.bfloat16):
            rough = tower.encode_dense(images)
    assert torch.cosine_similarity(exact, rough.float(), dim=1).min() > 0.99


def test_config_sets_the_last_block(micro_clip):
    assert build_tower(micro_clip).last_block == 'value'
    tower = build_tower(micro_clip, last_block='csa')
    assert tower.last_block == 'csa'
    assert tower.dense_path == 'self-correlation (csa) of the last block'
    with pytest.raises(ValueError, match=r"last_block.*value, qq, csa.*'kk'"):
        build_tower(micro_clip, last_block='kk')


@pytest.mark.parametrize('kind', ['siglip', 'clipa', 'pe_core', 'resnet'])
def test_towers_without_class_token_pooling_raise(kind):
    tower = small_tower(kind)
    set_last_block(tower, 'value')
    with pytest.raises(NotImplementedError, match=f"last_block='qq'.*{type(tower).__name__}"):
        set_last_block(tower, 'qq')
