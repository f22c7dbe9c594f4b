"""Towers give on CUDA what they give on the processor, by a fused kernel."""

import copy

import pytest
import torch

from benchmarks.reference_mode import only_kernel
from clipself_mm.clip import build_tower
from tests.clip.micro_eva import write_micro_eva

TINY = 'pkg:clipself_mm.shapes/tiny_clip'


@pytest.fixture(params=['tiny', 'eva02'])
def pair(request, tmp_path):
    """The same tower on the processor and on CUDA."""
    name = TINY if request.param == 'tiny' else write_micro_eva(tmp_path / 'eva')
    tower = build_tower(name).eval()
    return tower, copy.deepcopy(tower).cuda()


@pytest.fixture
def full_precision():
    """fp32 without TF32, so that both devices compute alike."""
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed


@torch.no_grad()
@pytest.mark.parametrize('factor', [1, 2])
def test_features_are_those_of_the_processor(pair, full_precision, factor):
    here, there = pair
    side = factor * 4 * here.patch_size
    images = torch.randn(2, 3, side, side + here.patch_size)
    for encode in ('encode_image', 'encode_dense'):
        on_cuda = getattr(there, encode)(images.cuda()).cpu()
        torch.testing.assert_close(on_cuda, getattr(here, encode)(images), rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_points_the_same_way(pair, dtype):
    if dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported():
        pytest.skip('this GPU has no bf16')
    here, there = pair
    images = torch.randn(2, 3, 8 * here.patch_size, 8 * here.patch_size)
    with torch.autocast('cuda', dtype):
        half = there.encode_dense(images.cuda()).float().cpu()
    cosine = torch.cosine_similarity(half, here.encode_dense(images), dim=1)
    assert cosine.min() > 0.98
    assert cosine.mean() > 0.999


@torch.no_grad()
@pytest.mark.parametrize(
    ('backend', 'capability'),
    [('EFFICIENT_ATTENTION', (5, 0)), ('FLASH_ATTENTION', (8, 0))],
)
def test_a_fused_kernel_takes_the_attention(pair, backend, capability):
    """Inside the context no other kernel may be taken: a tower that needs one raises."""
    if torch.cuda.get_device_capability() < capability:
        pytest.skip(f'{backend} needs compute capability {capability}')
    _, there = pair
    images = torch.randn(1, 3, 8 * there.patch_size, 8 * there.patch_size, device='cuda')
    with only_kernel(backend), torch.autocast('cuda', torch.float16):
        assert there.encode_dense(images).isfinite().all()
        assert there.encode_image(images).isfinite().all()
