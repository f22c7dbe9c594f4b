"""The last transform of a pipeline: packs a sample into the model's input."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.registry import TRANSFORMS
from mmengine.structures import InstanceData

from ..structures import RegionSample

_META_KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'input_size',
    'crop_size',
    'scale',
    'rng_key',
    'caption',
    'noun_labels',
)


@TRANSFORMS.register_module()
class PackRegions:
    """Pack a sample into tensors.

    Returns a dict of `inputs`, with `image` (uint8 of shape (3, H, W), not padded) and, if the
    sample has them, `crops` (uint8 of shape (R, 3, S, S)), `image_window` and `crop_windows` (int32
    of shape (1, 6) and (R, 6), see `window_rows`); and `data_samples`, a `RegionSample`
    whose `regions` hold `boxes_px` (float32 of shape (R, 4)) and, if the sample has them,
    `labels` (int64, (R)), `is_thing` (bool, (R)) and `masks` (bool, (R, h, w) on the token
    grid). R differs between samples and may be 0.
    """

    def __call__(self, results: dict) -> dict:
        """Pack one sample."""
        image = np.ascontiguousarray(results['img'].transpose(2, 0, 1))
        inputs = dict(image=torch.from_numpy(image))
        if 'crops' in results:
            inputs['crops'] = torch.from_numpy(results['crops'])
        for key in ('image_window', 'crop_windows'):
            if key in results:
                inputs[key] = torch.from_numpy(results[key])
        regions = InstanceData(boxes_px=torch.from_numpy(results['boxes_px']).reshape(-1, 4))
        if 'labels' in results:
            regions.labels = torch.from_numpy(np.asarray(results['labels'], np.int64))
        if 'is_thing' in results:
            regions.is_thing = torch.from_numpy(np.asarray(results['is_thing'], bool))
        if 'masks' in results:
            regions.masks = results['masks']
        meta = {key: results[key] for key in _META_KEYS if key in results}
        sample = RegionSample(metainfo=meta, regions=regions)
        if 'cached_targets' in results:
            sample.cached_targets = results['cached_targets']
        return dict(inputs=inputs, data_samples=sample)
