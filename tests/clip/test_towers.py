"""What every tower promises, held against open_clip's and timm's own forward passes."""

import open_clip
import pytest
import torch

from clipself_mm.clip import OpenCLIPViT, build_tower
from clipself_mm.clip.eva02_vit import ROPE_CACHE_SIZE
from tests.clip.small_towers import images_of, small_tower


@pytest.fixture(params=['openai', 'eva02'])
def tower(request, micro_clip):
    return build_tower(micro_clip).eval() if request.param == 'openai' else small_tower('eva02')


@torch.no_grad()
def test_image_embedding_equals_open_clip(micro_clip):
    tower = build_tower(micro_clip).eval()
    plain = open_clip.create_model(micro_clip).eval()
    images = images_of(tower, 4, 4)
    torch.testing.assert_close(tower.encode_image(images), plain.encode_image(images))


@torch.no_grad()
def test_image_embedding_equals_timm_at_the_native_size():
    tower = small_tower('eva02')
    images = images_of(tower, 4, 4)
    torch.testing.assert_close(
        tower.encode_image(images), tower.visual.trunk(images), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize('grid', [(3, 5), (5, 3), (1, 7), (4, 4)])
def test_any_grid_gives_unit_dense_features_of_its_shape(tower, grid):
    images = images_of(tower, *grid)
    dense = tower.encode_dense(images)
    assert dense.shape == (2, tower.dim, *grid)
    torch.testing.assert_close(dense.norm(dim=1), torch.ones(2, *grid))
    assert tower.encode_image(images).shape == (2, tower.dim)


@torch.no_grad()
def test_rows_and_columns_are_not_mixed_up(tower):
    """A transposed image through a tower with transposed weights and positions is transposed."""
    wide = images_of(tower, 2, 5, count=1)
    dense = tower.encode_dense(wide)
    twin = tower
    state = {key: value.clone() for key, value in tower.state_dict().items()}
    for key, value in state.items():
        if value.ndim == 4:
            state[key] = value.transpose(2, 3)
        if key.endswith(('pos_embed', 'positional_embedding')):
            flat = value.reshape(-1, value.shape[-1])
            side = round((len(flat) - 1) ** 0.5)
            grid = flat[1:].unflatten(0, (side, side)).transpose(0, 1).flatten(0, 1)
            state[key] = torch.cat([flat[:1], grid]).view_as(value)
    twin.load_state_dict(state)
    if isinstance(tower, OpenCLIPViT):
        mirrored = twin.encode_dense(wide.transpose(2, 3))
        torch.testing.assert_close(mirrored.transpose(2, 3), dense, rtol=1e-4, atol=1e-5)
    else:
        sine, _ = tower.rope_tables((2, 5), wide.device)
        half = sine.shape[1] // 2
        table = sine.unflatten(0, (2, 5))
        assert table[0, :, :half].eq(0).all()  # the first row turns by nothing
        assert table[:, 0, half:].eq(0).all()  # nor does the first column
        assert table[1, 0, :half].ne(0).any()
        assert table[0, 1, half:].ne(0).any()


@torch.no_grad()
def test_mask_of_the_full_image_gives_the_image_embedding(tower):
    images = images_of(tower, 3, 4)
    masks = [torch.ones(1, 3, 4), torch.ones(2, 3, 4)]
    regions = tower.encode_regions_masked(images, masks)
    expected = tower.encode_image(images)[[0, 1, 1]]
    torch.testing.assert_close(regions, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_region_attends_to_its_tokens_and_the_class_token_only(tower):
    """A loop over the blocks in which the copy is given nothing else to look at."""
    images = images_of(tower, 3, 4, count=1)
    masks = torch.zeros(2, 3, 4)
    masks[1, :, :2] = 1
    found = tower.encode_regions_masked(images, [masks])
    for mask, feature in zip(masks, found, strict=True):
        tokens, _, positions = tower.embed(images)
        inside = mask.flatten().nonzero()[:, 0]
        seen = torch.cat([torch.tensor([0]), inside + 1])
        places = None if positions is None else positions[seen]
        copy = tokens[:, :1]
        for block in tower.blocks:
            copy = tower.run_block(block, tokens[:, seen], places, queries=copy)
            tokens = tower.run_block(block, tokens, positions)
        torch.testing.assert_close(feature, tower.project(copy)[0, 0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[0], found[1])


@torch.no_grad()
def test_stages_are_the_tokens_after_each_block_and_the_value_path_at_the_end(tower):
    images = images_of(tower, 3, 4)
    maps, dense = tower.stages(images, [0, 2], with_dense=True)
    tokens, _, positions = tower.embed(images)
    first = tower.run_block(tower.blocks[0], tokens, positions)
    second = tower.run_block(tower.blocks[1], first, positions)
    last = tower.run_value_path(tower.blocks[2], second)
    for found, expected in zip(maps, (first, last), strict=True):
        assert found.shape == (2, tower.width, 3, 4)
        torch.testing.assert_close(found.flatten(2), expected[:, 1:].transpose(1, 2))
    torch.testing.assert_close(dense, tower.encode_dense(images))
    maps, dense = tower.stages(images, [1])
    torch.testing.assert_close(maps[0].flatten(2), second[:, 1:].transpose(1, 2))
    assert dense is None


@pytest.mark.parametrize('indices', [[1, 0], [0, 3], [-1], [1, 1]])
def test_invalid_stages_raise(tower, indices):
    with pytest.raises(ValueError, match=r'out_indices.*\b2\b'):
        tower.stages(images_of(tower, 2, 2), indices)


def test_image_sides_that_are_not_multiples_of_the_patch_size_raise(tower):
    with pytest.raises(
        ValueError, match=rf'\b{2 * tower.patch_size + 1}\b.*\b{tower.patch_size}\b'
    ):
        tower.encode_dense(torch.zeros(1, 3, 2 * tower.patch_size, 2 * tower.patch_size + 1))


def test_unlocking_too_many_blocks_raises(tower):
    with pytest.raises(ValueError, match=r'\b4\b.*\b3\b'):
        tower.unlock_blocks(4)


def test_bfloat16_autocast_stays_close(tower):
    images = images_of(tower, 4, 4)
    exact = tower.encode_dense(images)
    with torch.autocast('cpu', torch.bfloat16):
        rough = tower.encode_dense(images)
    cosine = torch.cosine_similarity(exact, rough.float(), dim=1)
    assert cosine.min() > 0.99


@torch.no_grad()
def test_eva02_keeps_its_residual_stream_in_full_precision_under_autocast():
    tower = small_tower('eva02')
    with torch.autocast('cpu', torch.bfloat16):
        tokens, _, positions = tower.embed(images_of(tower, 4, 4))
        after = tower.run_block(tower.blocks[0], tokens, positions)
    assert tokens.dtype == after.dtype == torch.float32


def test_rope_cache_is_usable_after_inference_mode_and_limited():
    tower = small_tower('eva02')
    with torch.inference_mode():
        tower.encode_dense(images_of(tower, 2, 3))
    tower.unlock_blocks()
    tower.encode_dense(images_of(tower, 2, 3))[:, 0].sum().backward()
    assert any(block.attn.proj.weight.grad.abs().sum() > 0 for block in tower.blocks)
    for side in range(1, 2 * ROPE_CACHE_SIZE):
        tower.rope((side, 1), torch.device('cpu'))
    assert len(tower._tables) == ROPE_CACHE_SIZE
