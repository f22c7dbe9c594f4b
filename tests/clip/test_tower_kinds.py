"""Every architecture against the forward pass of its own model."""

import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from open_clip.modified_resnet import ModifiedResNet
from timm.layers import RotaryEmbeddingCat

from clipself_mm.clip import CLIPResNet, build_tower
from clipself_mm.clip.build_tower import find_adapter
from clipself_mm.clip.positions import resize_positions, rope_table
from tests.clip.small_towers import ALL, CLASS_TOKEN, POOLED, images_of, native_images, small_tower


@torch.no_grad()
@pytest.mark.parametrize('kind', ALL)
def test_image_embedding_equals_open_clip(kind):
    tower = small_tower(kind)
    images = native_images(tower)
    expected = tower.visual(images)
    assert expected.shape == (2, tower.dim)
    found = tower.encode_image(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def dense_token_by_token(tower, images):
    """Dense features from the model's own modules, each given one token and nothing else.

    Attention over one token is this token's value, so no value path is written down here.
    """
    visual = tower.visual
    if isinstance(visual, ModifiedResNet):
        features = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(images)))))
        place = visual.attnpool.positional_embedding[1:]
        cells = []
        for index, cell in enumerate(features.flatten(2).unbind(2)):
            pool = copy.deepcopy(visual.attnpool)  # mean token and cell are one and the same
            pool.positional_embedding.data = place[index].expand(2, -1)
            cells.append(pool(cell[:, :, None, None]))
    elif hasattr(visual, 'trunk'):
        trunk = visual.trunk
        tokens = trunk._pos_embed(trunk.patch_embed(images))
        tokens, rope = tokens if isinstance(tokens, tuple) else (tokens, None)
        with_rope = {} if rope is None else dict(rope=rope)
        tokens = trunk.norm_pre(tokens)
        for block in trunk.blocks[:-1]:
            tokens = block(tokens, **with_rope)
        if trunk.global_pool != 'token':
            tokens = trunk.blocks[-1](tokens, **with_rope)
        cells = []
        for index in range(trunk.num_prefix_tokens, tokens.shape[1]):
            alone = tokens[:, index : index + 1]
            if trunk.global_pool == 'token':
                alone = trunk.blocks[-1](alone)
            cells.append(visual.head(trunk.forward_head(trunk.norm(alone))))
    else:
        tokens = visual._embeds(images)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            tokens = block(tokens)
        if visual.pool_type == 'avg':
            tokens = last(tokens)
        cells = []
        for index in range(1, tokens.shape[1]):
            alone = tokens[:, index : index + 1]
            alone = last(alone) if visual.pool_type == 'tok' else alone.expand(-1, 2, -1)
            cells.append(visual._pool(alone)[0] @ visual.proj)
    side = tower.image_size // tower.patch_size
    return F.normalize(torch.stack(cells, dim=2), dim=1).unflatten(2, (side, side))


@torch.no_grad()
@pytest.mark.parametrize('kind', ALL)
def test_dense_feature_is_the_pooling_of_one_token(kind):
    tower = small_tower(kind)
    images = native_images(tower)
    dense = tower.encode_dense(images)
    assert dense.is_contiguous()
    torch.testing.assert_close(dense, dense_token_by_token(tower, images), rtol=1e-4, atol=1e-5)
    neighbours = (dense[:, :, 0, 0] * dense[:, :, 1, 1]).sum(dim=1)
    assert neighbours.max() < 0.999  # the features differ from cell to cell


@torch.no_grad()
@pytest.mark.parametrize('kind', sorted({*POOLED, 'resnet'} - {'pe_core'}))
def test_dense_feature_of_one_cell_is_the_image_embedding(kind):
    """PE-Core but for -G is left out, since it pools its class token together with the patches."""
    tower = small_tower(kind)
    if kind == 'resnet':  # the mean token's position and the cell's differ otherwise
        tower.visual.attnpool.positional_embedding.data[:] = 0.3
    images = images_of(tower, 1, 1)
    expected = F.normalize(tower.encode_image(images), dim=1)
    torch.testing.assert_close(tower.encode_dense(images)[:, :, 0, 0], expected)


@torch.no_grad()
@pytest.mark.parametrize('kind', ALL)
def test_any_grid_gives_unit_features_and_image_embeddings(kind):
    tower = small_tower(kind)
    images = images_of(tower, 2, 5)
    dense = tower.encode_dense(images)
    assert dense.shape == (2, tower.dim, 2, 5)
    torch.testing.assert_close(dense.norm(dim=1), torch.ones(2, 2, 5))
    assert tower.encode_image(images).shape == (2, tower.dim)


@torch.no_grad()
@pytest.mark.parametrize('kind', ['siglip', 'mobileclip_b', 'clipa', 'pe_core_g'])
def test_another_size_equals_the_model_with_resized_positions(kind):
    """The model's own forward pass once its table is resized by hand to the 6 x 6 grid."""
    tower = small_tower(kind)
    images = images_of(tower, 6, 6)
    found = tower.encode_image(images)
    bigger = small_tower(
        kind, **{'image_size' if kind == 'clipa' else 'img_size': images.shape[-1]}
    )
    state = tower.state_dict()
    for key, value in state.items():
        if key.endswith(('pos_embed', 'positional_embedding')):
            table = value.reshape(-1, value.shape[-1])
            prefix = table.shape[0] - 16
            grid = table[prefix:].T.reshape(1, -1, 4, 4)
            grid = F.interpolate(grid, size=(6, 6), mode='bicubic').flatten(2)[0].T
            table = torch.cat([table[:prefix], grid])
            state[key] = table if value.ndim == 2 else table[None]
    bigger.load_state_dict(state)
    torch.testing.assert_close(found, bigger.visual(images), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_resnet_pools_another_size_with_resized_positions():
    tower = small_tower('resnet')
    images = images_of(tower, 2, 4)
    pool = copy.deepcopy(tower.visual.attnpool)
    pool.positional_embedding.data = resize_positions(pool.positional_embedding.data, (2, 4))
    tower.visual.attnpool, own = pool, tower.visual.attnpool
    expected = tower.visual(images)
    tower.visual.attnpool = own
    torch.testing.assert_close(tower.encode_image(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('grid', [(4, 4), (3, 7)])
@pytest.mark.parametrize(('offset', 'indexing'), [(0.0, 'ij'), (1.0, 'xy'), (0.0, 'xy')])
def test_rope_tables_equal_timm(grid, offset, indexing):
    rope = RotaryEmbeddingCat(
        32,
        in_pixels=False,
        feat_shape=None,
        ref_feat_shape=(16, 16),
        grid_offset=offset,
        grid_indexing=indexing,
    )
    expected = rope.get_embed(shape=grid).chunk(2, dim=-1)
    found = rope_table(grid, 32, 16, offset=offset, columns_first=indexing == 'xy')
    torch.testing.assert_close(found, expected)


def test_positions_without_prefix_are_resized():
    table = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    with_class = torch.cat([torch.full((1, 8), 9.0), table])
    resized = resize_positions(table, (3, 7), prefix=0)
    torch.testing.assert_close(resize_positions(with_class, (3, 7))[1:], resized)
    assert resized.shape == (21, 8)
    with pytest.raises(ValueError, match=r'\b0\b.*\b17\b'):
        resize_positions(with_class, (3, 7), prefix=0)


@torch.no_grad()
@pytest.mark.parametrize('kind', ['siglip', 'clipa', 'pe_core'])
def test_stages_of_pooling_towers_are_full_blocks(kind):
    tower = small_tower(kind)
    images = images_of(tower, 2, 3)
    maps, dense = tower.stages(images, [0, 2], with_dense=True)
    tokens, _, positions = tower.embed(images)
    for index, block in enumerate(tower.blocks):
        tokens = tower.run_block(block, tokens, positions)
        if index in (0, 2):
            expected = tokens[:, tower.prefix :].transpose(1, 2).unflatten(2, (2, 3))
            torch.testing.assert_close(maps[index // 2], expected)
    torch.testing.assert_close(dense, tower.encode_dense(images))


@torch.no_grad()
def test_stages_of_a_resnet_are_its_layers():
    tower = small_tower('resnet')
    images = images_of(tower, 2, 3)
    own = tower.visual.forward_intermediates(images, intermediates_only=True)
    own = own['image_intermediates'][1:]  # without the stem's
    maps, dense = tower.stages(images, [0, 1, 2, 3], with_dense=True)
    for found, expected, stride, width in zip(
        maps, own, (4, 8, 16, 32), tower.stage_widths, strict=True
    ):
        torch.testing.assert_close(found, expected)
        assert found.shape == (2, width, 64 // stride, 96 // stride)
    torch.testing.assert_close(dense, tower.encode_dense(images))
    (second,), dense = tower.stages(images, [1])
    torch.testing.assert_close(second, own[1])
    assert dense is None
    with pytest.raises(ValueError, match=r'out_indices.*\[3, 5, 7, 11\].*\b3\b'):
        tower.stages(images, [3, 5, 7, 11])
    with pytest.raises(ValueError, match=r'64 x 40.*\b32\b'):
        tower.stages(images[..., :40], [1])


@pytest.mark.parametrize('kind', ['siglip', 'clipa', 'pe_core'])
def test_unlocked_pooling_towers_train_full_blocks_only(kind):
    tower = small_tower(kind)
    tower.unlock_blocks(2)
    tower.train()
    tower.encode_dense(images_of(tower, 2, 2))[:, 0].sum().backward()
    trained = {id(p) for p in tower.parameters() if p.requires_grad}
    assert trained == {id(p) for block in tower.blocks[1:] for p in block.parameters()}
    assert all(p.grad is not None for p in tower.blocks[-1].parameters())


@pytest.mark.parametrize('kind', CLASS_TOKEN)
def test_every_unlocked_parameter_of_a_class_token_tower_gets_a_gradient(kind):
    tower = small_tower(kind)
    tower.unlock_blocks(None)
    tower.train()
    tower.encode_dense(images_of(tower, 2, 2))[:, 0].sum().backward()
    without = [n for n, p in tower.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


def test_frozen_stem_keeps_its_statistics():
    tower = small_tower('mobileclip_b')
    before = {key: value.clone() for key, value in tower.named_buffers()}
    assert any(key.endswith('running_var') for key in before)
    tower.train()
    tower.unlock_blocks(1)
    tower.encode_dense(images_of(tower, 2, 2))
    tower.train()
    tower.encode_dense(images_of(tower, 2, 2))
    assert all(torch.equal(value, before[key]) for key, value in tower.named_buffers())
    assert tower.blocks.training


def test_only_a_frozen_resnet_stays_in_eval_mode():
    tower = small_tower('resnet')
    assert tower.train().visual.bn1.training
    tower.freeze()
    tower.train()
    assert not tower.visual.bn1.training
    assert not any(p.requires_grad for p in tower.parameters())
    before = tower.visual.bn1.running_mean.clone()
    tower.encode_dense(images_of(tower, 1, 1))
    assert torch.equal(tower.visual.bn1.running_mean, before)


def test_unsupported_methods_raise():
    resnet, siglip = small_tower('resnet'), small_tower('siglip')
    with pytest.raises(NotImplementedError, match='CLIPResNet'):
        resnet.unlock_blocks(2)
    for tower in (resnet, siglip):
        with pytest.raises(NotImplementedError, match=type(tower).__name__):
            tower.encode_regions_masked(images_of(tower, 2, 2), [torch.ones(1, 2, 2)] * 2)
    with torch.device('meta'), pytest.raises(NotImplementedError, match=r'RN50.*CLIPResNet'):
        build_tower('RN50', activation_checkpointing=True)


@pytest.mark.parametrize(
    ('kind', 'changes', 'message'),
    [
        ('eva02', dict(init_values=0.1), 'Eva.*layer scale'),
        ('eva02', dict(num_reg_tokens=2), 'Eva.*register'),
        ('eva02', dict(global_pool='avg'), "Eva.*'avg'"),
        ('eva02', dict(qk_norm=True), 'EvaAttention'),
        ('pe_core', dict(rope_type='mixed'), 'Eva.*RotaryEmbeddingMixed'),
        ('siglip', dict(reg_tokens=2), 'timm.*register'),
        ('siglip', dict(qk_norm=True), r'\bAttention\b'),
        ('siglip', dict(pos_embed='none'), 'timm.*position'),
        ('siglip', dict(global_pool='avgmax'), "timm.*'avgmax'"),
        ('patch16', dict(qk_norm=True, block_type='custom'), 'CustomResidualAttentionBlock'),
        ('patch16', dict(attentional_pool=True), 'AttentionalPooler'),
        # 8 x 2 positions, as many as a square of 4 x 4 has
        ('patch16', dict(image_size=(128, 32)), r'square.*\(128, 32\)'),
    ],
)
def test_unsupported_parts_raise(kind, changes, message):
    with pytest.raises(NotImplementedError, match=message):
        small_tower(kind, **changes)


@pytest.mark.parametrize(
    ('model', 'reason'),
    [
        ('coca_ViT-B-32', 'AttentionalPooler'),
        ('convnext_tiny', 'ConvNeXt'),
        ('swin_base_patch4_window7_224', 'SwinTransformer'),
        ('MobileCLIP-S1', 'FastVit'),
        ('vit_relpos_medium_patch16_cls_224', 'VisionTransformerRelPos'),
    ],
)
def test_unsupported_models_raise(model, reason):
    with torch.device('meta'), pytest.raises(NotImplementedError, match=f'{model}.*{reason}'):
        build_tower(model)


def test_unknown_module_raises():
    with pytest.raises(NotImplementedError, match='SimpleNamespace'):
        find_adapter(SimpleNamespace())


@torch.no_grad()
def test_image_size_is_rounded_down_to_full_patches():
    """As in ViT-SO400M-14-SigLIP-384, whose 384 px make 27 patches of 14 px and 6 px over."""
    tower = small_tower('siglip', img_size=70)
    assert tower.image_size == 64
    images = torch.randn(1, 3, 70, 70, generator=torch.Generator().manual_seed(1))
    expected = tower.visual(images)
    torch.testing.assert_close(tower.encode_image(images[..., :64, :64]), expected)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(
    ('model', 'dim', 'patch'),
    [
        ('EVA02-B-16', 512, 16),
        ('EVA02-L-14-336', 768, 14),
        ('ViT-B-16', 512, 16),
        ('ViT-L-14', 768, 14),
        ('RN50x4', 640, 32),
        ('ViT-B-16-SigLIP', 768, 16),
    ],
)
def test_sizes_of_real_models(model, dim, patch):
    torch.manual_seed(0)
    tower = build_tower(model).eval()
    assert (tower.dim, tower.patch_size) == (dim, patch)
    dense = tower.encode_dense(torch.randn(1, 3, 2 * patch, 3 * patch))
    assert dense.shape == (1, dim, 2, 3)
    torch.testing.assert_close(dense.norm(dim=1), torch.ones(1, 2, 3))
    assert isinstance(tower, CLIPResNet) == model.startswith('RN')
