"""The whole detector against the release's on mmdet 2.28: its files in, its boxes and steps out."""

import importlib
from contextlib import contextmanager, nullcontext
from copy import deepcopy

import numpy as np
import pytest
import torch
import torchvision
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from clipself_mm.evaluation.metrics import OpenVocabCocoMetric, OpenVocabLVISMetric
from tests.parity.release_detector import CONFIGS, read_recording

pytestmark = pytest.mark.parity

LOSSES = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox')
STEPS = {'': 1, '64': 3}
"""Recorded steps that are repeated, by precision: rounding grows, in float32 fast."""
WARMUP = 250
"""Iterations of the release's warm-up; the recordings' is shorter."""
BATCH = 4
"""Pictures of a recorded step."""
GRADIENT = 'step0.grad.'
EXACT = {'': 1e-4, '64': 5e-6}
"""What a gradient may differ by, as a share of its largest magnitude, by precision."""
BOX, SCORE = 1e-3, 1e-5
"""Pixels and score that a box may differ by."""


@pytest.fixture(params=CONFIGS)
def recording(request, tmp_path, monkeypatch):
    return read_recording(request.param, tmp_path, monkeypatch)


def test_every_group_has_its_test(recording):
    for precision in STEPS:
        groups = {key.partition('.')[0] for key in recording.golden(precision).outputs}
        assert groups <= {'train', 'step0', 'start', 'end', 'fit'}


def test_training_pictures_and_boxes(recording):
    dataset = recording.dataset('train', test=False)
    samples = [dataset[index] for index in range(len(dataset))]
    model = recording.detector(recording.convert('start', recording.config_file.with_name('a.pth')))
    image = model.data_preprocessor(pseudo_collate(samples[:1]), training=True)['inputs'][0]
    for precision in STEPS:
        golden = recording.golden(precision, 'train')
        golden.check('train.ids', [sample['data_samples'].img_id for sample in samples])
        golden.check('train.image_0', image[:, ::4, ::4])
        for index, sample in enumerate(samples):
            truth = sample['data_samples'].gt_instances
            golden.check(f'train.gt_boxes_{index}', truth.bboxes.tensor, limit=BOX)
            golden.check(f'train.gt_labels_{index}', truth.labels)
            if recording.masks:
                areas = truth.masks.masks.sum((1, 2))
                golden.check(f'train.gt_mask_areas_{index}', areas, tolerance=0)
        golden.finish(exempt={'train.history': 'of the steps'})


class ReleaseLVISMetric(OpenVocabLVISMetric):
    """Numbers that the release has beside ours: of OV-COCO's splits, and its kind of sizes.

    It sorts a mask into small, medium and large by the area of its box.
    """

    def split_classes(self):
        return {**OpenVocabCocoMetric.split_classes(self), **super().split_classes()}

    def precision_recall(self, kind, detections):
        if kind == 'bbox':
            self.boxes = [detection['bbox'] for detection in detections]
        else:
            pairs = zip(detections, self.boxes, strict=True)
            detections = [dict(detection, bbox=box) for detection, box in pairs]
        return super().precision_recall(kind, detections)

    def name_numbers(self, kind, numbers):
        return OpenVocabCocoMetric.name_numbers(self, kind, numbers)


@pytest.mark.slow
@pytest.mark.parametrize('case', ['start', 'end', 'fit'])
def test_detections_and_average_precision(recording, case):
    checkpoint = 'end' if case == 'fit' else case
    split = 'train' if case == 'fit' else 'val'
    converted = recording.convert(checkpoint, recording.config_file.with_name('a.pth'))
    model = recording.detector(converted)
    dataset = recording.dataset(split, test=True)
    ann_file = str(recording.folder / f'{split}.json')
    metrics = [dict(recording.config.val_evaluator, ann_file=ann_file)]
    if recording.masks:
        metrics.append(ReleaseLVISMetric(ann_file, prefix='release'))
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dataset.metainfo
    found = {}
    for index in range(len(dataset)):
        batch = pseudo_collate([dataset[index]])
        with torch.no_grad():
            samples = model.test_step(batch)
        evaluator.process(samples, batch)
        found[samples[0].img_id] = samples[0].pred_instances
    numbers = evaluator.evaluate(len(dataset))
    for precision in STEPS:
        golden = recording.golden(precision, case)
        if precision and not golden.outputs:  # in double only some cases were recorded
            continue
        apart = {}
        for place, image in enumerate(recording.json(f'{split}.json')['images']):
            apart |= check_picture(golden, f'{case}.{{}}_{place}', found[image['id']])
        # A box whose overlap stands on the threshold of NMS, or two proposals of one score.
        assert len(apart) <= 2 * (3 if recording.masks else 2), apart
        for key in golden.outputs:
            if key.startswith(f'{case}.eval.'):
                check_average_precision(golden, key, numbers)
        golden.finish(exempt=apart)


def check_picture(golden, key, found):
    """Compare the boxes of a picture with their recorded mates.

    Args:
        golden: The recording.
        key: Its key with a place for what is compared.
        found: `pred_instances`.

    Returns:
        Nothing if each box has its mate; else the picture's keys and the reason, of at most a fifth
        of the boxes.
    """
    boxes = np.column_stack([found.bboxes.numpy(), found.scores.numpy()])
    labels = found.labels.numpy()
    recorded, classes = golden.outputs[key.format('boxes')], golden.outputs[key.format('labels')]
    limit = np.array([BOX] * 4 + [SCORE])
    near = (np.abs(boxes[None] - recorded[:, None]) <= limit).all(2)
    near &= labels[None] == classes[:, None]
    mates = []
    for row in near:
        row[mates] = False
        mates.extend(np.flatnonzero(row)[:1])
    lone = len(recorded) + len(boxes) - 2 * len(mates)
    if lone:
        assert lone <= max(len(recorded) / 5, 1), f'{key}: {lone} boxes without a mate'
        keys = {key.format(what) for what in ('boxes', 'labels', 'mask_areas')}
        return dict.fromkeys(keys & golden.outputs.keys(), f'{lone} boxes differ by rounding')
    golden.check(key.format('boxes'), boxes[mates], limit=limit)
    golden.check(key.format('labels'), labels[mates])
    if 'masks' in found:
        areas = found.masks.numpy()[mates].sum((1, 2))
        golden.check(key.format('mask_areas'), areas, limit=2)  # pixels that stand on 0.5
    return {}


def ours_by_theirs():
    """Names of the release's evaluation to the keys of our metrics."""
    names = {'bbox_mAP': 'coco/all_ap', 'segm_AP': 'lvis/segm_ap'}
    names |= {f'bbox_mAP_{iou}': f'coco/all_ap{iou}' for iou in ('50', '75')}
    names |= {f'bbox_mAP_{size}': f'coco/all_ap_{size}' for size in 'sml'}
    names |= {f'segm_AP{part}': f'lvis/segm_ap{part}' for part in ('50', '75', *'rcf')}
    names |= {f'segm_AP{size}': f'release/segm_all_ap_{size}' for size in 'sml'}
    for split in ('novel', 'base', 'all'):
        names[f'{split}_ap50'] = f'coco/{split}_ap50'
        names[f'{split}_mask_ap50'] = f'release/segm_{split}_ap50'
    return names


def check_average_precision(golden, key, numbers):
    """Compare one number of the release's evaluation with ours, to 0.1 percent."""
    name = key.rpartition('.')[2]
    value = numbers[ours_by_theirs()[name]]
    if name.endswith('_ap50'):  # in percent, NaN where nothing is annotated
        golden.check(key, np.nan if value == -1 else 100 * value, limit=0.1)
    else:
        golden.check(key, value, limit=0.001)


@pytest.mark.slow
def test_first_steps(recording, monkeypatch):
    converted = recording.convert('start', recording.config_file.with_name('a.pth'))
    runs, exact = {}, {}
    for precision in STEPS:
        golden = recording.golden(precision, 'step0', 'train.history')
        names = [key for key in golden.outputs if key.startswith(GRADIENT)]
        with in_double(monkeypatch) if precision else nullcontext():
            model = recording.detector(converted).train()
            history, gradients = train(recording, model, golden, STEPS[precision])
        exact[precision] = {
            key for key in names if error(gradients[key], golden.outputs[key]) <= EXACT[precision]
        }
        runs[precision] = golden, names, history, gradients
    for precision, (golden, names, history, gradients) in runs.items():
        for key in names:
            # A unit that stands on a rounding moves a gradient, but not in both precisions.
            assert any(key in close for close in exact.values()), key
            tolerance = EXACT[precision] if key in exact[precision] else 2e-2
            golden.check(key, gradients[key], tolerance)
        compared = np.zeros(history.shape, bool)
        compared[:, -1] = True
        compared[: STEPS[precision] if exact[precision] == set(names) else 1] = True
        limit = 1e-5 * np.abs(golden.outputs['train.history'])
        golden.check('train.history', history, limit=limit, where=compared)
        golden.finish()


@contextmanager
def in_double(monkeypatch):
    """Everything that is built or computed is double, as the release's recording was made."""
    with monkeypatch.context() as patch:
        # mmcv's own takes float only.
        patch.setattr(importlib.import_module('mmcv.ops.nms'), 'nms', nms)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def nms(boxes, scores, iou_threshold):
    keep = torchvision.ops.nms(boxes, scores, iou_threshold)
    return torch.cat([boxes[keep], scores[keep, None]], dim=1), keep


def train(recording, model, golden, steps):
    """Repeat the first steps by the config's optimizer, and its warm-up of all recorded ones.

    Returns:
        What `train.history` holds, NaN for the losses of the steps that were not repeated, and the
        gradients of the first step by their keys.
    """
    dtype = torch.get_default_dtype()
    model.to(dtype)
    dataset = recording.dataset('train', test=False)
    recorded = golden.outputs['train.history'][:, -1]
    settings = deepcopy(recording.config.optim_wrapper)
    settings.optimizer.lr = float(recorded.max())
    wrapper = build_optim_wrapper(model, settings)
    warmup = deepcopy(recording.config.param_scheduler[0])
    warmup.end += int((recorded < recorded.max()).sum()) - WARMUP
    warmup = PARAM_SCHEDULERS.build(warmup, default_args=dict(optimizer=wrapper))
    losses = LOSSES + ('loss_mask',) * recording.masks
    rows, gradients = [], {}
    for step in range(len(recorded)):
        row = [np.nan] * (len(losses) + 1)
        rate = wrapper.optimizer.param_groups[0]['lr']
        if step < steps:
            chosen = range(BATCH * step, BATCH * (step + 1))
            batch = pseudo_collate([dataset[index % len(dataset)] for index in chosen])
            batch = model.data_preprocessor(batch, training=True)
            for sample in batch['data_samples']:
                sample.gt_instances.bboxes = sample.gt_instances.bboxes.to(dtype)
            loss, logged = model.parse_losses(
                model(batch['inputs'].to(dtype), batch['data_samples'], mode='loss')
            )
            wrapper.backward(loss)
            if step == 0:
                gradients = gradients_by_key(model)
            wrapper.step()
            wrapper.zero_grad()
            norm = MessageHub.get_current_instance().get_scalar('train/grad_norm').current()
            row = [logged[name].item() for name in losses] + [norm]
        rows.append([*row, rate])
        warmup.step()
    return np.array(rows), gradients


def gradients_by_key(model):
    """Gradients under the release's names."""
    return {
        GRADIENT + name.replace('fc_cls.temperature', 'detect_temperature'): value.grad.clone()
        for name, value in model.named_parameters()
        if value.grad is not None
    }


def error(value, recorded):
    """Largest difference as a share of the largest magnitude."""
    return np.abs(value.numpy() - recorded).max() / np.abs(recorded).max()
