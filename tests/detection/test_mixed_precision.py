"""Under autocast boxes stay in float32, as in mmdet 2; mmdet 3 gives them the features' type."""

import pytest
import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.structures.mask import BitmapMasks

from clipself_mm.detection.fvit_roi_head import PyramidWithDense
from tests.detection.tiny_fvit import DIM, PATCH, build_fvit, images, samples

STRIDES = [4, 8, 16, 32]
POOLED = dict(type='SingleRoIExtractor', out_channels=16, featmap_strides=STRIDES)
MASKS = {
    'model.roi_head.bbox_roi_extractor.featmap_strides': STRIDES,
    'model.roi_head.bbox_roi_extractor.finest_scale': 56,
    'model.roi_head.mask_roi_extractor': dict(
        roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0), **POOLED
    ),
    'model.roi_head.mask_head': dict(
        type='FCNMaskHead',
        num_convs=1,
        in_channels=16,
        conv_out_channels=16,
        num_classes=1,
        class_agnostic=True,
        loss_mask=dict(type='CrossEntropyLoss', use_mask=True),
    ),
}


@pytest.fixture(scope='module')
def model(micro_clip):
    return build_fvit(micro_clip, **MASKS)


def mixed():
    return torch.autocast('cpu', dtype=torch.bfloat16)


def pool(model, levels, rois):
    """Features of RoIs for the bbox head, the mask head and CLIP."""
    seen = []
    pyramid = PyramidWithDense(levels, levels[1][:, :1].repeat(1, DIM, 1, 1))
    place = model.roi_head.clip_roi_extractor
    handle = place.register_forward_hook(lambda module, args, output: seen.append(output))
    try:
        with torch.no_grad():
            box = model.roi_head._bbox_forward(pyramid, rois)['bbox_feats']
            mask = model.roi_head._mask_forward(pyramid, rois)['mask_feats']
    finally:
        handle.remove()
    return box, mask, seen[0]


def square(side, left=0.0, top=0.0):
    return torch.tensor([[0.0, left, top, left + side, top + side]])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    ('side', 'level'), [(111, 0), (113, 1), (255, 2), (257, 2), (300, 2), (447, 2), (449, 3)]
)
def test_level_of_a_roi(model, dtype, side, level):
    """56 x 2^k px and more belong to level k; half precision ends at 65,504, below 256^2."""
    levels = [
        torch.full((1, 16, 512 // stride, 512 // stride), float(index), dtype=dtype)
        for index, stride in enumerate(STRIDES)
    ]
    box, mask, _ = pool(model, levels, square(side))
    assert box.dtype == mask.dtype == torch.float32
    assert box.unique().tolist() == mask.unique().tolist() == [level]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_coordinates_are_not_rounded(model, dtype):
    """The mean over a RoI of a ramp is the ramp at its centre."""
    levels = [
        torch.arange(512 // stride).to(dtype).expand(1, 16, 512 // stride, -1) for stride in STRIDES
    ]
    box, mask, clip = pool(model, levels, square(130, left=300.37, top=200.0))  # on level 1
    centre = (300.37 + 65) / 8 - 0.5
    for pooled in (box, mask, clip):
        assert abs(pooled.mean().item() - centre) < 1e-4
    assert PATCH == 8  # of the dense map


def test_the_rpn_decodes_in_float32(model):
    """Deltas of zero leave the anchors: those of float32, to the bit, in training and at test."""
    deltas = model.rpn_head.rpn_reg
    backup = [parameter.clone() for parameter in deltas.parameters()]
    try:
        for parameter in deltas.parameters():
            parameter.data.zero_()
        with torch.no_grad(), mixed():
            pyramid = model.extract_feat(images())
            assert pyramid[0].dtype == torch.bfloat16
            _, training = model.rpn_head.loss_and_predict(pyramid, samples())
            test = model.rpn_head.predict(pyramid, samples())
    finally:
        for parameter, value in zip(deltas.parameters(), backup, strict=True):
            parameter.data.copy_(value)
    sizes = [level.shape[-2:] for level in pyramid]
    anchors = torch.cat(model.rpn_head.prior_generator.grid_priors(sizes, device='cpu'))
    expected = {tuple(anchor) for anchor in anchors.clamp(0, 64).tolist()}
    for proposals in (*training, *test):
        assert proposals.bboxes.dtype == torch.float32
        assert len(proposals) > 5
        assert {tuple(box) for box in proposals.bboxes.tolist()} <= expected


def test_boxes_of_the_second_stage_are_decoded_in_float32(model):
    rois = square(30.3, left=10.1, top=20.7)
    with torch.no_grad(), mixed():
        results = model.roi_head._bbox_forward(model.extract_feat(images()), rois)
    assert results['cls_score'].dtype == results['bbox_pred'].dtype == torch.float32


def losses_of(model):
    """All losses of a training step with the same random choices, as one flat dict."""
    torch.manual_seed(0)
    found = model.loss(images(), with_masks(samples()))
    return {
        name: torch.stack(value).sum() if isinstance(value, list) else value
        for name, value in found.items()
        if 'loss' in name
    }


def with_masks(batch):
    for sample in batch:
        count = len(sample.gt_instances)
        masks = torch.zeros(count, 64, 64, dtype=torch.uint8).numpy()
        masks[:, 20:40, 20:40] = 1
        sample.gt_instances.masks = BitmapMasks(masks, 64, 64)
    return batch


def test_losses_and_gradients_under_autocast(micro_clip):
    model = build_fvit(micro_clip, **MASKS).train()
    exact = losses_of(model)
    with mixed():
        losses = losses_of(model)
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask'} == set(losses)
    for name, value in losses.items():
        assert value.dtype == torch.float32, name
        torch.testing.assert_close(value, exact[name], rtol=0.05, atol=1e-3)
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    assert model.neck.lateral_convs[0].conv.weight.grad.abs().sum() > 0
    assert model.rpn_head.rpn_reg.weight.grad.abs().sum() > 0


def test_without_autocast_nothing_changes(model):
    """Exactly equal to mmdet's methods."""
    with torch.no_grad():
        pyramid = model.extract_feat(images())
        rois = torch.cat([square(20.3, 3.3, 9.1), square(40.7, 11.9, 2.2)])
        for name in ('_bbox_forward', '_mask_forward'):
            ours = getattr(model.roi_head, name)(pyramid, rois)
            theirs = getattr(StandardRoIHead, name)(model.roi_head, pyramid, rois)
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[key], theirs[key]) for key in ours)
        for ours, theirs in zip(
            model.rpn_head(pyramid), model.rpn_head.forward(pyramid), strict=True
        ):
            assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
