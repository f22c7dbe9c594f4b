"""A step never asks the device for a value: on a GPU the host would wait for all it has queued.

What waits is seen without one: reading a scalar (`item`, `float`, `bool`), everything whose size
depends on values (`nonzero`, masks as indices) and a list of floats as a tensor are operations.
What leaves the device unseen (`tolist`, `cpu`) fails on the meta device, which has no values to
give. mmengine's own part of a step, which sums the losses and updates the weights, is not looked
at.
"""

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from clipself_mm.clip import roi_pool
from clipself_mm.datasets import RegionSample
from clipself_mm.distillers import CLIPSelf
from clipself_mm.distillers.region_preprocessor import RegionPreprocessor
from clipself_mm.losses import CosineDistillLoss
from tests.clip.small_towers import images_of, small_tower
from tests.distillers.micro_clipself import ALL_INGREDIENTS, CONTEXT, CORRELATION, raw_items
from tests.waiting import NoWaiting


@pytest.mark.parametrize(
    'wait',
    [
        lambda x: x.sum().item(),
        lambda x: float(x[0]),
        lambda x: bool((x > 0).all()),
        lambda x: x[x > 0],
        lambda x: (x > 0).nonzero(),
        lambda x: x.masked_select(x > 0),
        lambda x: x.unique(),
        lambda x: x * x.new_tensor([1.0, 2.0, 3.0]),
    ],
)
def test_the_check_detects_synchronisation(wait):
    with pytest.raises(AssertionError, match='waits for the device'), NoWaiting():
        wait(torch.arange(3.0))


def windows_batch():
    """Two samples whose crops and images the device cuts."""
    rows = [[0, 0, 50, 40, 51, 64], [3, 4, 20, 9, 9, 32], [0, 0, 9, 9, 32, 32]]
    items = []
    for count in (2, 1):
        meta = dict(img_shape=(51, 64), crop_size=32)
        sample = RegionSample(metainfo=meta)
        sample.regions = InstanceData(boxes_px=torch.rand(count, 4).cumsum(dim=1) * 20)
        inputs = dict(
            image=torch.zeros(3, 40, 50, dtype=torch.uint8),
            image_window=torch.tensor(rows[:1], dtype=torch.int32),
            crop_windows=torch.tensor(rows[1 : 1 + count], dtype=torch.int32),
        )
        items.append(dict(inputs=inputs, data_samples=sample))
    return pseudo_collate(items)


@pytest.mark.parametrize(
    ('tower', 'options'),
    [
        ({}, {}),
        ({}, dict(teacher_batch=2, unlocked_blocks=1)),
        (dict(activation_checkpointing=True), dict(teacher_dtype='bfloat16')),
        (dict(last_block='qq'), dict(dense_losses=[CORRELATION, CONTEXT])),
        (dict(last_block='values-2'), {}),
        ({}, ALL_INGREDIENTS),
    ],
)
def test_a_training_step_does_not_synchronise(micro_clip, tower, options):
    model = CLIPSelf(
        tower=dict(type='CLIPTower', model=micro_clip, **tower),
        data_preprocessor=dict(
            type='RegionPreprocessor', image_size=64, student_sizes=[64, 96], non_blocking=True
        ),
        **options,
    ).train()
    for loss in model.dense_losses:
        if hasattr(loss, 'foundation'):
            loss.foundation.init_weights()
    batch = pseudo_collate(raw_items([3, 0, 2]))
    with NoWaiting():
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        sum(losses.values()).backward()
    assert any(p.grad is not None for p in model.student.parameters())


@pytest.mark.parametrize(
    'wait', [lambda x: x.tolist(), lambda x: x.cpu().numpy(), lambda x: x.sum().item()]
)
def test_the_meta_device_has_no_values(wait):
    with pytest.raises((NotImplementedError, RuntimeError)):
        wait(torch.arange(3.0, device='meta'))


@pytest.mark.parametrize('batch', [lambda: pseudo_collate(raw_items([3, 2])), windows_batch])
def test_a_step_runs_on_the_meta_device(micro_clip, batch):
    model = CLIPSelf(
        tower=dict(type='CLIPTower', model=micro_clip),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
    )
    model = model.to('meta').train()
    data = model.data_preprocessor(batch(), True)
    assert data['inputs']['images'].device.type == 'meta'
    losses = model(**data, mode='loss')
    sum(losses.values()).backward()
    assert {p.grad.device.type for p in model.student.parameters() if p.requires_grad} == {'meta'}


@pytest.mark.parametrize('kind', ['eva02', 'patch16', 'siglip'])
def test_a_step_with_any_kind_of_tower_does_not_synchronise(kind):
    student, teacher = small_tower(kind).train(), small_tower(kind)
    student.unlock_blocks()
    images, crops = images_of(student, 5, 3, count=2), images_of(teacher, 4, 4, count=3)
    boxes_px = [torch.tensor([[0.0, 0, 20, 30], [5, 5, 40, 40]]), torch.tensor([[0.0, 0, 9, 9]])]
    for tower, pixels in ((student, images), (teacher, crops)):
        tower.encode_dense(pixels)  # fills the tables of positions
    with NoWaiting():
        with torch.no_grad():
            target = teacher.encode_image(crops)
        pooled = roi_pool(student.encode_dense(images), boxes_px, student.patch_size)
        CosineDistillLoss()(pooled, target).backward()


def test_the_preprocessor_does_not_synchronise_in_validation():
    preprocessor = RegionPreprocessor(pad_divisor=16)
    for batch in (pseudo_collate(raw_items([2, 1])), windows_batch()):
        with NoWaiting():
            preprocessor(batch, False)
