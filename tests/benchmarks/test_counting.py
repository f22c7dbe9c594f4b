"""The counts against answers worked by hand, torch's own counter and open_clip's modules."""

from contextlib import contextmanager
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.counting import (
    SHAPES,
    ViTShape,
    adamw_bytes,
    block_activation_bytes,
    block_flops,
    dense_activation_bytes,
    dense_backward_flops,
    distillation_bytes,
    distillation_flops,
    recomputing_flops,
    tower_parameters,
    trained_parameters,
    value_block_flops,
    vit_flops,
)
from benchmarks.reference_mode import as_reference
from clipself_mm.clip import build_tower
from tests.clip.small_towers import images_of, small_tower

SMALL = {
    'eva02': ViTShape(64, 3, 170, 2, 24, 16, eva02=True, native_tokens=17),
    'patch16': ViTShape(64, 3, 256, 2, 24, 16, native_tokens=17),
}


def test_a_block_by_hand():
    """10 tokens of 4 channels, 8 hidden: projections 1280, two L x L products 1600, MLP 1280."""
    assert block_flops(10, 4, 8) == 4 * 2 * 10 * 16 + 2 * 2 * 100 * 4 + 2 * 2 * 10 * 32 == 4160
    assert block_flops(10, 4, 8, gated=True) == 4160 + 640
    # One query: its own q, out and MLP, keys and values of all.
    assert block_flops(10, 4, 8, queries=1) == 2 * 32 + 2 * 320 + 2 * 2 * 40 + 2 * 2 * 32
    assert value_block_flops(10, 4, 8) == 2 * 2 * 10 * 16 + 1280


def written_out(query, key, value, attn_mask=None):
    assert attn_mask is None
    return (query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1) @ value


def counted(run):
    """Torch's count; the fused kernel, which it does not know on every device, is replaced."""
    with (
        mock.patch.object(F, 'scaled_dot_product_attention', written_out),
        FlopCounterMode(display=False) as counter,
    ):
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize('kind', sorted(SMALL))
def test_forward_and_backward_are_torchs_count(kind):
    tower, shape = small_tower(kind).train(), SMALL[kind]
    images = images_of(tower, 3, 5, count=1)
    tokens = shape.tokens(48, 80)
    assert tokens == 16
    with torch.no_grad():
        assert counted(lambda: tower.encode_image(images)) == vit_flops(
            tokens, shape, 'class_token'
        )
        assert counted(lambda: as_reference(tower).encode_image(images)) == vit_flops(
            tokens, shape, 'whole'
        )
    for unlocked in (0, 1, 2, 3):
        tower.unlock_blocks(unlocked)
        seen = []
        dense = counted(lambda seen=seen: seen.append(tower.encode_dense(images)))
        assert dense == vit_flops(tokens, shape)
        if not unlocked:
            assert not seen[0].requires_grad
            assert dense_backward_flops(tokens, shape, unlocked) == 0
            continue
        backward = counted(lambda seen=seen: seen[0].square().sum().backward())
        assert backward == dense_backward_flops(tokens, shape, unlocked, recomputed_attention=False)


def test_the_fused_kernel_computes_the_weights_again():
    """Of 3 blocks 2 have attention: q k^T of 16 x 16 x 64, twice the multiplications."""
    more = [dense_backward_flops(16, SMALL['eva02'], None, again) for again in (True, False)]
    assert more[0] - more[1] == 2 * (2 * 16 * 16 * 64)


def test_checkpointing_runs_the_blocks_that_train_again():
    shape = SMALL['patch16']
    assert recomputing_flops(16, shape, 0) == 0
    assert recomputing_flops(16, shape, 1) == value_block_flops(16, 64, 256) - 2 * 16 * 64 * 256
    tower = small_tower('patch16').train()
    tower.unlock_blocks(2)
    images, passes = images_of(tower, 3, 5, count=1), []
    for tower.activation_checkpointing in (False, True):
        passes.append(counted(lambda: tower.encode_dense(images).square().sum().backward()))
    assert passes[1] - passes[0] == recomputing_flops(16, shape, 2)


def test_a_step_is_its_parts():
    shape = SMALL['eva02']
    step = distillation_flops(shape, 64, 32, crops=3, images=2, unlocked=2)
    assert step.teacher == 3 * vit_flops(5, shape, 'class_token')
    assert step.student_forward == 2 * vit_flops(17, shape)
    assert step.student_backward == 2 * dense_backward_flops(17, shape, 2)
    assert step.total == step.teacher + step.student_forward + step.student_backward
    with pytest.raises(ValueError, match='class_token'):
        vit_flops(5, shape, 'first')


@pytest.mark.parametrize('name', sorted(SHAPES))
def test_parameters_are_those_of_open_clips_modules(name):
    shape = SHAPES[name]
    with torch.device('meta'):
        tower = build_tower(name)
    assert tower_parameters(shape) == sum(p.numel() for p in tower.parameters())
    for unlocked in (0, 1, shape.depth):
        tower.unlock_blocks(unlocked)
        trained = sum(p.numel() for p in tower.parameters() if p.requires_grad)
        assert trained_parameters(shape, unlocked) == trained
    assert tower.image_size**2 // tower.patch_size**2 + 1 == shape.native_tokens
    assert (tower.width, tower.dim) == (shape.width, shape.dim)


@contextmanager
def mixed_precision():
    """As on CUDA, where norms are in float32."""
    norm = F.layer_norm

    def in_float32(tokens, shape, weight=None, bias=None, eps=1e-5):
        with torch.autocast('cpu', enabled=False):
            return norm(tokens.float(), shape, weight, bias, eps)

    with torch.autocast('cpu', torch.bfloat16), mock.patch.object(F, 'layer_norm', in_float32):
        yield


def kept_bytes(run, weights):
    """Bytes of all tensors that autograd keeps, each storage once, ``weights`` left out.

    Their half copies under autocast, which have the shape of one or of its packed thirds, are left
    out too.
    """
    shapes = {part.T.shape for item in weights if item.ndim == 2 for part in (item, item[::3])}
    own = {item.untyped_storage().data_ptr() for item in weights}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        copied = tensor.dtype == torch.bfloat16 and tensor.shape in shapes
        if storage.data_ptr() not in own and not copied:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = run()
    del result
    return sum(size for size, _ in kept.values())


@pytest.mark.parametrize('materialised', [False, True])
@pytest.mark.parametrize('kind', sorted(SMALL))
def test_what_autograd_keeps_of_a_block(kind, materialised):
    tower, shape = small_tower(kind).train(), SMALL[kind]
    tower = as_reference(tower) if materialised else tower
    tower.unlock_blocks()
    tokens, _, positions = tower.embed(images_of(tower, 20, 20, count=1))
    tokens = tokens.detach().requires_grad_()
    tables = [] if positions is None else list(positions if materialised else [positions])
    weights = [*tower.parameters(), *tables]
    whole = kept_bytes(lambda: tower.run_block(tower.blocks[0], tokens, positions), weights)
    assert whole == pytest.approx(block_activation_bytes(401, shape, False, materialised), rel=0.02)
    value = kept_bytes(lambda: tower.run_value_path(tower.blocks[2], tokens), weights)
    assert value == pytest.approx(block_activation_bytes(401, shape, True), rel=0.02)


@pytest.mark.parametrize('kind', sorted(SMALL))
def test_what_autograd_keeps_of_a_block_in_mixed_precision(kind):
    tower, shape = small_tower(kind).train(), SMALL[kind]
    tower.unlock_blocks()
    tokens, _, positions = tower.embed(images_of(tower, 20, 20, count=1))
    tokens = tokens.detach().requires_grad_()
    weights = [*tower.parameters(), *([] if positions is None else [positions])]
    with mixed_precision():
        whole = kept_bytes(lambda: tower.run_block(tower.blocks[0], tokens, positions), weights)
        value = kept_bytes(lambda: tower.run_value_path(tower.blocks[2], tokens), weights)
    assert whole == pytest.approx(block_activation_bytes(401, shape, half=True), rel=0.001)
    assert value == pytest.approx(block_activation_bytes(401, shape, True, half=True), rel=0.001)
    with pytest.raises(ValueError, match='mixed precision'):
        block_activation_bytes(401, shape, materialised=True, half=True)


@pytest.mark.parametrize('unlocked', [1, 3])
@pytest.mark.parametrize('checkpointing', [False, True])
@pytest.mark.parametrize('kind', sorted(SMALL))
def test_what_autograd_keeps_in_mixed_precision(kind, checkpointing, unlocked):
    """With checkpointing the one block that is run again comes on top of what the forward kept."""
    tower, shape = small_tower(kind).train(), SMALL[kind]
    tower.unlock_blocks(unlocked)
    tower.activation_checkpointing = checkpointing
    images = images_of(tower, 20, 20, count=1)
    _, _, positions = tower.embed(images)
    weights = [*tower.parameters(), *([] if positions is None else [positions])]
    with mixed_precision():
        found = kept_bytes(lambda: tower.encode_dense(images), weights)
    found += block_activation_bytes(401, shape, half=True) if checkpointing else 0
    planned = dense_activation_bytes(401, shape, unlocked, False, checkpointing, half=True)
    assert found == pytest.approx(planned, rel=0.02)


@pytest.mark.parametrize('unlocked', [1, 3])
@pytest.mark.parametrize('kind', sorted(SMALL))
def test_what_autograd_keeps_of_dense_features(kind, unlocked):
    tower, shape = small_tower(kind).train(), SMALL[kind]
    tower.unlock_blocks(unlocked)
    images = images_of(tower, 20, 20, count=1)
    _, _, positions = tower.embed(images)
    weights = [*tower.parameters(), *([] if positions is None else [positions])]
    found = kept_bytes(lambda: tower.encode_dense(images), weights)
    assert found == pytest.approx(dense_activation_bytes(401, shape, unlocked), rel=0.03)


def test_bytes_by_hand():
    """A weight, its gradient and two moments are read, all but the gradient written: 28 bytes."""
    assert adamw_bytes(10) == 280
    shape = SMALL['patch16']
    held = distillation_bytes(shape, 64, images=2, teacher_itemsize=2)
    assert held.weights == 6 * tower_parameters(shape)
    assert held.gradients == 4 * trained_parameters(shape)
    assert held.optimizer == 8 * trained_parameters(shape)
    assert held.activations == 2 * dense_activation_bytes(17, shape)
    # Checkpointing keeps the inputs of 3 blocks of 17 x 64 numbers, one block and the head.
    less = distillation_bytes(shape, 64, checkpointing=True).activations
    head = (64 + 24 + 4) * 17 * 4
    assert less == 3 * 17 * 64 * 4 + block_activation_bytes(17, shape) + head
