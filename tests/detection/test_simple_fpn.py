import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from clipself_mm.detection import FViTBackbone, SimpleFPN


def build(**settings):
    torch.manual_seed(0)
    fpn = SimpleFPN(in_channels=8, out_channels=6, **settings)
    with torch.no_grad():
        for parameter in fpn.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for buffer in fpn.buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand_like(buffer))
    return fpn.eval()


def doubled(image, deconv):
    """A 2 x 2 deconvolution of stride 2 as a loop: each position becomes its own 2 x 2 block."""
    n, _, h, w = image.shape
    out = deconv.bias[None, :, None, None].repeat(n, 1, 2 * h, 2 * w)
    for y in range(2 * h):
        for x in range(2 * w):
            kernel = deconv.weight[:, :, y % 2, x % 2]
            out[:, :, y, x] += image[:, :, y // 2, x // 2] @ kernel
    return out


def normed(image, norm):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * scale
    return image * scale[:, None, None] + shift[:, None, None]


def convolved(image, block):
    padding = block.conv.weight.shape[-1] // 2
    return normed(F.conv2d(image, block.conv.weight, padding=padding), block.bn)


def test_levels_are_vitdets():
    fpn = build()
    image = torch.randn(2, 8, 4, 6)
    four, two, *_ = fpn.levels
    maps = [
        doubled(F.gelu(normed(doubled(image, four[0][0]), four[0][1])), four[0][3]),
        doubled(image, two[0]),
        image,
        image.reshape(2, 8, 2, 2, 3, 2).amax(dim=(3, 5)),
    ]
    expected = [
        convolved(convolved(item, level[1]), level[2])
        for item, level in zip(maps, fpn.levels, strict=True)
    ]
    expected.append(expected[-1][:, :, ::2, ::2])
    levels = fpn((image,))
    assert isinstance(levels, tuple)
    assert [tuple(level.shape[-2:]) for level in levels] == [
        (16, 24),
        (8, 12),
        (4, 6),
        (2, 3),
        (1, 2),
    ]
    for level, reference in zip(levels, expected, strict=True):
        torch.testing.assert_close(level, reference)


def test_channels_halve_with_every_doubling():
    """Weights counted by hand for C = 8 and 6 output channels, a norm being two a channel."""
    four = (8 * 4 * 4 + 4) + 2 * 4 + (4 * 2 * 4 + 2) + 2 * 6
    two = (8 * 4 * 4 + 4) + 4 * 6
    rest = 2 * 8 * 6
    convs = 4 * (2 * 6 + 9 * 6 * 6 + 2 * 6)
    assert sum(p.numel() for p in build().parameters()) == four + two + rest + convs


def test_norm_is_a_config():
    kinds = {type(m) for m in build(norm_cfg={'type': 'GN', 'num_groups': 1}).modules()}
    assert nn.GroupNorm in kinds
    assert nn.BatchNorm2d not in kinds
    plain = build(norm_cfg=None)
    assert not any(isinstance(m, nn.modules.batchnorm._NormBase) for m in plain.modules())
    assert plain.levels[0][1].conv.bias is not None


def test_other_scales_and_more_levels():
    fpn = build(scales=(2, 1), num_outs=4)
    shapes = [tuple(level.shape) for level in fpn((torch.randn(1, 8, 4, 4),))]
    assert shapes == [(1, 6, 8, 8), (1, 6, 4, 4), (1, 6, 2, 2), (1, 6, 1, 1)]
    assert len(build(num_outs=4)((torch.randn(1, 8, 4, 4),))) == 4


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match=r'num_outs.*\b3\b.*\b4\b'):
        SimpleFPN(in_channels=8, num_outs=3)
    with pytest.raises(ValueError, match=r'scales.*4, 2, 1.*0\.5.*\b3\b'):
        SimpleFPN(in_channels=8, scales=(3, 1))
    with pytest.raises(ValueError, match=r'SimpleFPN.*\b4\b'):
        build()((torch.zeros(1, 8, 2, 2),) * 4)


@pytest.mark.parametrize('scope', ['mmengine', 'mmdet', 'mmseg'])
def test_fed_by_the_last_block(micro_clip, scope):
    with DefaultScope.overwrite_default_scope(scope):
        backbone = MODELS.build(
            dict(
                type='FViTBackbone',
                tower=dict(type='CLIPTower', model=micro_clip),
                out_indices=(2,),
                scales=(1,),
            )
        )
        neck = MODELS.build(dict(type='SimpleFPN', in_channels=backbone.tower.width))
    assert isinstance(backbone, FViTBackbone)
    assert isinstance(neck, SimpleFPN)
    assert [p for p in backbone.parameters() if p.requires_grad] == []
    levels = neck(backbone(torch.randn(2, 3, 32, 48)))
    strides = [32 / level.shape[2] for level in levels[:4]]
    assert strides == [2, 4, 8, 16]
    assert levels[4].shape == (2, 256, 1, 2)
    sum(level.mean() for level in levels).backward()
    assert all(p.grad is not None for p in neck.parameters())
