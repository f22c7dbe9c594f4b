"""Cost of a detector: tower passes, activations, masks, CLIP maps."""

from pathlib import Path

import pytest
import torch
from mmdet.models.test_time_augs import DetTTAModel
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from torch.autograd.graph import saved_tensors_hooks

from clipself_mm.datasets import load_vocabulary
from clipself_mm.detection import FViTBackbone
from tests.commands import TORCH
from tests.detection.tiny_fvit import DIM, NAMES, build_fvit, images, samples

LVIS = Path(__file__).parents[2] / 'configs/shapes/fvit_tiny_shapes-ov-lvis.py'
EMBEDDINGS = 'model.roi_head.bbox_head.cls_predictor_cfg.embeddings'


class Calls(list):
    """First shape of the input of each call of a module."""

    def __init__(self, module):
        super().__init__()
        module.register_forward_hook(lambda _, inputs, __: self.append(inputs[0].shape[0]))


@pytest.fixture(scope='module')
def build(micro_clip, tmp_path_factory):
    """`build_fvit` with random class embeddings, without a text tower."""
    path = str(tmp_path_factory.mktemp('words') / 'random.pt')
    names = [*load_vocabulary('shapes_ov').classes, 'background']
    torch.save({name: torch.randn(DIM) for name in names}, path)
    return lambda **changes: build_fvit(micro_clip, **{EMBEDDINGS: path}, **changes)


@pytest.fixture
def watched(build):
    """A detector, and the calls of the tower's stem, of its projection, of the CLIP RoIAlign."""
    model = build()
    visual = model.backbone.tower.visual
    return model, Calls(visual.conv1), Calls(visual.ln_post), Calls(clip_align(model))


def clip_align(model):
    return model.roi_head.clip_roi_extractor.roi_layers[0]


@pytest.mark.parametrize('extra', [{}, {'text': '. '.join(NAMES)}])
def test_prediction_runs_the_tower_once(watched, extra):
    model, stem, projection, _ = watched
    model.predict(images(), samples(**extra))
    assert stem == [2]  # both images at once
    assert projection == [2]


def test_training_makes_no_clip_map(watched):
    model, stem, projection, align = watched
    model.train().loss(images(), samples())
    assert stem == [2]
    assert projection == []
    assert align == []


def test_test_time_augmentation_runs_the_tower_once_per_view(build):
    model = build()
    wrapped = DetTTAModel(
        tta_cfg=ConfigDict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=10), module=model
    )
    stem = Calls(model.backbone.tower.visual.conv1)
    view = [(255 * torch.rand(3, 64, 64)).byte()]
    batch = dict(
        inputs=[view, view],
        data_samples=[
            samples(1, flip=False, flip_direction=None),
            samples(1, flip=True, flip_direction='horizontal'),
        ],
    )
    (result,) = wrapped.test_step(batch)
    assert len(result.pred_instances.bboxes)
    assert len(stem) == 2


def kept_by_autograd(run):
    """Bytes of activations, parameters left out, that a function's result keeps for a backward."""
    kept = {}

    def pack(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    return sum(kept.values()), result


def test_a_frozen_tower_keeps_no_activations(build):
    backbone = build().train().backbone
    batch = images()
    with torch.no_grad():
        stages, _ = backbone.tower.stages(batch, [0, 1, 2])
    maps = [*stages, stages[-1]]
    alone, _ = kept_by_autograd(
        lambda: [getattr(backbone, f'interpolate{i + 1}')(item) for i, item in enumerate(maps)]
    )
    together, _ = kept_by_autograd(lambda: backbone(batch))
    assert together == alone > 0
    trained = build(**{'model.backbone.frozen': False}).train().backbone
    assert kept_by_autograd(lambda: trained(batch))[0] > 1.5 * together


def test_masks_are_made_of_kept_boxes_only(tmp_path):
    config = Config.fromfile(LVIS)
    head = config.model.roi_head.bbox_head
    names = [*load_vocabulary(head.vocabulary).classes, 'background']
    torch.save({n: torch.randn(head.fc_out_channels) for n in names}, tmp_path / 'words.pt')
    head.cls_predictor_cfg.embeddings = str(tmp_path / 'words.pt')
    config.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=7)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    model.init_weights()
    boxes, masks = Calls(model.roi_head.bbox_head), Calls(model.roi_head.mask_head)
    with torch.no_grad():
        found = model.predict(images(size=128), samples(size=128))
    kept = [len(item.pred_instances) for item in found]
    assert kept == [7, 7]
    assert masks == [14]
    assert boxes[0] > 100


# A tower in half precision.


@pytest.fixture
def halves(build):
    return build(), build(**{'model.backbone.dtype': 'bfloat16'})


def test_a_tower_in_bfloat16_gives_nearly_the_same_maps_in_float32(halves):
    whole, half = (model.backbone for model in halves)
    assert {p.dtype for p in half.tower.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in half.interpolate1.parameters()} == {torch.float32}
    with torch.no_grad():
        maps, dense = whole.forward_with_dense(images())
        near, near_dense = half.forward_with_dense(images())
    for one, other in zip([*maps, dense], [*near, near_dense], strict=True):
        assert other.dtype == torch.float32
        assert torch.cosine_similarity(one, other, dim=1).min() > 0.995
        assert not torch.equal(one, other)


@pytest.mark.skipif(TORCH < (2, 2), reason='autocast of this torch has no half on processors')
def test_autocast_leaves_the_tower_in_its_own_dtype(halves):
    backbone = halves[1].backbone
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.float16):
        _, within = backbone.forward_with_dense(images())
    with torch.no_grad():
        _, without = backbone.forward_with_dense(images())
    assert torch.equal(within, without)


def test_a_tower_in_bfloat16_trains_what_is_around_it_and_takes_float32_weights(halves):
    whole, half = halves
    half.load_state_dict(whole.state_dict())
    assert {p.dtype for p in half.backbone.tower.parameters()} == {torch.bfloat16}
    losses = half.train().loss(images(), samples())
    total = losses['loss_cls'] + losses['loss_bbox']
    total.backward()
    gradient = half.backbone.interpolate1[0].weight.grad
    assert gradient.dtype == torch.float32
    assert gradient.abs().sum() > 0
    assert all(p.grad is None for p in half.backbone.tower.parameters())


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(dtype='int8'), "float32, bfloat16, float16.*'int8'"),
        (dict(dtype='bfloat16', frozen=False), r'bfloat16.*\bfloat32'),
    ],
)
def test_invalid_dtypes_raise(micro_clip, changes, message):
    with pytest.raises(ValueError, match=message):
        FViTBackbone(tower=dict(type='CLIPTower', model=micro_clip), **changes)
