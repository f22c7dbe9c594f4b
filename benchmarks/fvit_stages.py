"""A detector's prediction and training step in stages, each timed and its FLOPs counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.structures.bbox import bbox2roi
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import clock

TOWER = 'tower'
"""The stage whose FLOPs are counted from sizes: torch does not know its fused kernel on a CPU."""


class Stages:
    """Seconds, or FLOPs, by the name of a stage.

    Args:
        count: Whether to count matrix products and convolutions instead of taking the time.

    Attributes:
        found: What each stage took, in order.
    """

    def __init__(self, count: bool = False) -> None:
        self.count = count
        self.found: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what runs inside; stages of one name add up."""
        if self.count:
            with FlopCounterMode(display=False) as counter:
                yield
            taken = counter.get_total_flops()
        else:
            start = clock()
            yield
            taken = clock() - start
        self.found[name] = self.found.get(name, 0.0) + taken


@torch.no_grad()
def predict(model: nn.Module, data: dict, stages: Stages) -> list:
    """What `FViT.predict` does, stage by stage; a test holds that the results are the same.

    Args:
        model: An `FViT` in eval mode.
        data: `inputs` and `data_samples` from its preprocessor.
        stages: Where to note what they took.

    Returns:
        Results of each image, boxes in pixels of the network's input unless there are masks.
    """
    metas = [sample.metainfo for sample in data['data_samples']]
    backbone, roi_head = model.backbone, model.roi_head
    head, stage = roi_head.bbox_head, stages.stage
    with stage(TOWER):
        found, dense = backbone.run_tower(data['inputs'])
    with stage('upsamplers'):
        maps = backbone.resize(found)
    with stage('FPN'):
        pyramid = model.neck(maps)
    with stage('RPN'):
        outputs = model.rpn_head(pyramid)
    with stage('RPN suppression'):
        proposals = model.rpn_head.predict_by_feat(*outputs, batch_img_metas=metas, rescale=False)
    rois = bbox2roi([item.bboxes for item in proposals])
    with stage('RoIAlign'):
        regions = roi_head.bbox_roi_extractor(
            pyramid[: roi_head.bbox_roi_extractor.num_inputs], rois
        )
    with stage('RoIAlign of the CLIP map'):
        clip_features = roi_head.clip_roi_extractor([dense.float()], rois).flatten(1)
    with stage('box head'):
        logits, deltas = head(regions)
    with stage('CLIP scores'):
        logits = head.join_clip(logits, clip_features)
    with stage('fusion and suppression'):
        split = [len(item) for item in proposals]
        results = head.predict_by_feat(
            rois=rois.split(split),
            cls_scores=logits.split(split),
            bbox_preds=deltas.split(split),
            batch_img_metas=metas,
            rcnn_test_cfg=roi_head.test_cfg,
            rescale=False,
        )
    if roi_head.with_mask:
        with stage('masks of kept boxes'):
            results = roi_head.predict_mask(pyramid, metas, results, rescale=False)
    return results


def train(
    model: nn.Module, data: dict, stages: Stages, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """One training step, stage by stage; the tower's forward is timed by hooks.

    Args:
        model: An `FViT` in training mode.
        data: As in `predict`.
        stages: Where to note what they took.
        optimizer: Of what trains.

    Returns:
        The losses.
    """
    inner = Stages(stages.count)
    opened = []

    def enter(*_: object) -> None:
        opened.append(inner.stage('backbone'))
        opened[-1].__enter__()

    def leave(*_: object) -> None:
        opened.pop().__exit__(None, None, None)

    hooks = [
        model.backbone.register_forward_pre_hook(enter),
        model.backbone.register_forward_hook(leave),
    ]
    with stages.stage('forward'):
        loss, losses = model.parse_losses(model(**data, mode='loss'))
    for hook in hooks:
        hook.remove()
    forward = stages.found.pop('forward')
    stages.found['backbone'] = inner.found['backbone']
    stages.found['heads'] = forward - inner.found['backbone']
    with stages.stage('backward'):
        loss.backward()
    with stages.stage('optimizer'):
        optimizer.step()
        optimizer.zero_grad()
    return losses
