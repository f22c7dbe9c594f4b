"""Tracks of detected objects, by mmdet's ByteTracker."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import torch
from mmdet.models.trackers import ByteTracker
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from clipself_mm.detection import ImageDetections

LOST = 30
"""Frames after which an object that was not seen again has a new track."""


class ObjectTracks:
    """ByteTrack: boxes of one class are linked from frame to frame by their overlap.

    An object that is seen begins a track at `score_thr` and goes on down to half of it, so it does
    not flicker. The overlap is not weighted by the score, as it is in mmdet by default: the scores
    of open-vocabulary detectors are low.

    Args:
        score_thr: Least score of a new track.

    Attributes:
        least_score: The least score of detections that are of use here.

    Raises:
        ImportError: lap is not installed.
    """

    def __init__(self, score_thr: float) -> None:
        if find_spec('lap') is None:
            raise ImportError("tracks need lap: pip install 'clipself_mm[video]'")
        self.least_score = score_thr / 2
        self._tracker = ByteTracker(
            motion=dict(type='KalmanFilter'),
            obj_score_thrs=dict(high=score_thr, low=self.least_score),
            init_track_thr=score_thr,
            weight_iou_with_det_scores=False,
            num_frames_retain=LOST,
        )
        self._frame = -1

    def follow(self, found: ImageDetections) -> tuple[ImageDetections, list[int]]:
        """Link the objects of the next frame.

        Args:
            found: Its detections.

        Returns:
            Those on a track, the highest score first, and the number of the track of each.
        """
        self._frame += 1
        sample = DetDataSample(metainfo=dict(frame_id=self._frame))
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(found.boxes),
            labels=torch.from_numpy(found.labels),
            scores=torch.from_numpy(found.scores),
        )
        tracked = self._tracker.track(sample)
        boxes, labels = tracked.bboxes.numpy(), tracked.labels.numpy()
        numbers, kept = [], []  # the tracker gives rows of its input, in another order
        for row, label in enumerate(found.labels):
            (places,) = np.nonzero((boxes == found.boxes[row]).all(1) & (labels == label))
            if len(places):
                kept.append(row)
                numbers.append(int(tracked.instances_id[places[0]]))
        return _rows(found, kept), numbers


def _rows(found: ImageDetections, rows: list[int]) -> ImageDetections:
    masks = found.segmentations
    return replace(
        found,
        labels=found.labels[rows],
        boxes=found.boxes[rows],
        scores=found.scores[rows],
        segmentations=None if masks is None else [masks[row] for row in rows],
    )
