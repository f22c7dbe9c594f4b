"""Winograd's convolution against torch's own in double precision, and where it steps back."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clipself_mm.datasets import load_vocabulary
from clipself_mm.detection import NormRPNHead, WinogradConv2d
from clipself_mm.detection import winograd_conv2d as module
from clipself_mm.detection.winograd_conv2d import transforms, winograd_conv
from tests.detection.tiny_fvit import build_fvit, images, samples


@pytest.mark.parametrize(
    ('shape', 'outputs', 'bias'),
    [
        ((150, 8, 7, 7), 6, True),  # regions: several blocks of images
        ((2, 4, 61, 90), 8, False),  # maps: several blocks of rows
        ((1, 3, 1, 1), 2, True),
        ((3, 5, 4, 9), 4, True),
    ],
)
def test_equals_the_direct_convolution(shape, outputs, bias):
    torch.manual_seed(0)
    maps, weight = torch.randn(shape), torch.randn(outputs, shape[1], 3, 3)
    bias = torch.randn(outputs) if bias else None
    exact = F.conv2d(
        maps.double(), weight.double(), None if bias is None else bias.double(), padding=1
    )
    found = winograd_conv(maps, weight, bias)
    assert (found - exact).abs().max() < 2e-5 * exact.abs().max()


def test_a_row_by_hand():
    """The row 1 2 3 4 under the kernel 1 0 2 gives 0 + 2 x 2, 1 + 2 x 3, 2 + 2 x 4 and 3."""
    maps = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1] = torch.tensor([1.0, 0.0, 2.0])
    expected = torch.tensor([4.0, 7.0, 10.0, 3.0]).view(1, 1, 1, 4)
    torch.testing.assert_close(winograd_conv(maps, weight), expected)
    assert [tuple(item.shape) for item in transforms()] == [(36, 36), (36, 9), (16, 36)]


@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
def test_the_memory_format_stays(order):
    maps = torch.randn(2, 4, 8, 8).contiguous(memory_format=order)
    found = winograd_conv(maps, torch.randn(6, 4, 3, 3))
    assert found.is_contiguous(memory_format=order)


@pytest.fixture
def uses(monkeypatch):
    """Shapes of the maps that took Winograd's way."""
    shapes = []

    def spying(maps, *args):
        shapes.append(tuple(maps.shape))
        return winograd_conv(maps, *args)

    monkeypatch.setattr(module, 'winograd_conv', spying)
    return shapes


@pytest.mark.parametrize(
    'arguments',
    [
        dict(kernel_size=1),
        dict(kernel_size=3),
        dict(kernel_size=3, padding=1, stride=2),
        dict(kernel_size=3, padding=2, dilation=2),
        dict(kernel_size=3, padding=1, groups=2),
        dict(kernel_size=3, padding=1, padding_mode='reflect'),
    ],
)
def test_other_convolutions_are_ordinary(arguments, uses):
    torch.manual_seed(0)
    layer, usual = WinogradConv2d(4, 4, **arguments), nn.Conv2d(4, 4, **arguments)
    usual.load_state_dict(layer.state_dict())
    maps = torch.randn(1, 4, 40, 40)
    with torch.no_grad():
        assert torch.equal(layer(maps), usual(maps))
    assert uses == []


def test_training_half_and_few_cells_are_ordinary(uses):
    layer = WinogradConv2d(4, 4, 3, padding=1)
    layer(torch.randn(1, 4, 40, 40)).sum().backward()
    with torch.no_grad():
        layer(torch.randn(1, 4, 22, 23))
        layer.bfloat16()(torch.randn(1, 4, 40, 40).bfloat16())
        assert uses == []
        layer.float()(torch.randn(1, 4, 32, 16))
        assert uses == [(1, 4, 32, 16)]


def test_autocast_does_not_round_it():
    torch.manual_seed(0)
    layer, maps = WinogradConv2d(4, 4, 3, padding=1), torch.randn(1, 4, 40, 40)
    with torch.no_grad():
        exact = layer(maps)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            assert torch.equal(layer(maps), exact)


@pytest.mark.parametrize('count', [1, 2])
def test_an_rpn_keeps_its_weights(count, uses):
    sizes = dict(num_classes=1, in_channels=8, feat_channels=8, num_convs=count)
    torch.manual_seed(0)
    fast = NormRPNHead(conv_cfg=dict(type='WinogradConv2d'), **sizes)
    usual = NormRPNHead(**sizes)
    usual.load_state_dict(fast.state_dict())
    maps = torch.randn(1, 8, 32, 32)
    with torch.no_grad():
        for one, other in zip(fast.forward_single(maps), usual.forward_single(maps), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert len(uses) == count


@pytest.mark.parametrize('torchvision', [False, True])
def test_a_detector_finds_the_same(micro_clip, tmp_path, uses, torchvision):
    words = tmp_path / 'words.pt'
    names = [*load_vocabulary('shapes_ov').classes, 'background']
    torch.save({name: torch.randn(16) for name in names}, words)
    conv = dict(type='WinogradConv2d')
    place = 'model.roi_head.bbox_head'
    changes = {f'{place}.cls_predictor_cfg.embeddings': str(words)}
    usual = build_fvit(micro_clip, **changes)
    fast = build_fvit(
        micro_clip,
        **changes,
        **{'model.neck.conv_cfg': conv, f'{place}.conv_cfg': conv},
        **{'model.roi_head.bbox_roi_extractor.roi_layer.use_torchvision': torchvision},
    )
    fast.load_state_dict(usual.state_dict())
    with torch.no_grad():
        one, other = (model.predict(images(), samples()) for model in (usual, fast))
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(
            left.pred_instances.scores[:20], right.pred_instances.scores[:20], rtol=1e-3, atol=1e-6
        )
    assert (40, 16, 7, 7) in uses
