import pytest
import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RPNHead
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from torch import nn

SETTINGS = dict(
    in_channels=6,
    feat_channels=4,
    anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[1.0, 2.0], strides=[4, 8]),
    bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
    loss_bbox=dict(type='L1Loss'),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3),
        sampler=dict(type='RandomSampler', num=16, pos_fraction=0.5, add_gt_as_proposals=False),
        allowed_border=-1,
        pos_weight=-1,
    ),
)
GENERATOR = torch.Generator().manual_seed(0)
LEVELS = tuple(torch.randn(2, 6, side, side, generator=GENERATOR) for side in (8, 4))


@pytest.fixture(autouse=True)
def mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def build(kind='NormRPNHead', **settings):
    torch.manual_seed(0)
    head = MODELS.build(dict(type=kind, **SETTINGS, **settings))
    head.init_weights()
    return head


@pytest.mark.parametrize('num_convs', [1, 2])
def test_without_a_norm_it_is_mmdets(num_convs):
    ours, theirs = build(num_convs=num_convs), build('RPNHead', num_convs=num_convs)
    assert type(theirs) is RPNHead
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert str(ours).replace('NormRPNHead', 'RPNHead') == str(theirs)
    for kind in range(2):
        for level, reference in zip(ours(LEVELS)[kind], theirs(LEVELS)[kind], strict=True):
            assert level.equal(reference)


def test_names_and_shapes_with_a_norm():
    state = build(num_convs=2, norm_cfg=dict(type='BN')).state_dict()
    buffers = ('num_batches_tracked', 'running_mean', 'running_var')
    expected = {'rpn_conv.0.conv.weight', 'rpn_conv.1.conv.weight'}
    for place in range(2):
        expected |= {f'rpn_conv.{place}.bn.{name}' for name in ('weight', 'bias', *buffers)}
    expected |= {f'rpn_{kind}.{name}' for kind in ('cls', 'reg') for name in ('weight', 'bias')}
    assert set(state) == expected
    assert state['rpn_conv.0.conv.weight'].shape == (4, 6, 3, 3)
    assert state['rpn_conv.1.conv.weight'].shape == (4, 4, 3, 3)


@pytest.mark.parametrize('num_convs', [1, 2])
def test_forward_of_the_normed_head(num_convs):
    head = build(num_convs=num_convs, norm_cfg=dict(type='BN'))
    assert len(head.rpn_conv) == num_convs
    scores, deltas = head(LEVELS)
    for level, score, delta in zip(LEVELS, scores, deltas, strict=True):
        image = level
        for block in head.rpn_conv:
            image = F.conv2d(image, block.conv.weight, padding=1)
            mean, var = image.mean(dim=(0, 2, 3)), image.var(dim=(0, 2, 3), unbiased=False)
            image = ((image - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()).relu()
        torch.testing.assert_close(score, head.rpn_cls(image))
        torch.testing.assert_close(delta, head.rpn_reg(image))


def test_trains():
    head = build(num_convs=2, norm_cfg=dict(type='BN'))
    truth = InstanceData(
        bboxes=torch.tensor([[2.0, 2.0, 18.0, 18.0]]), labels=torch.zeros(1, dtype=torch.long)
    )
    meta = dict(img_shape=(32, 32), pad_shape=(32, 32))
    losses = head.loss_by_feat(*head(LEVELS), [truth, truth], [meta, meta])
    assert set(losses) == {'loss_rpn_cls', 'loss_rpn_bbox'}
    sum(sum(loss) for loss in losses.values()).backward()
    norms = [m for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 2
    assert all(norm.weight.grad.abs().sum() > 0 for norm in norms)
