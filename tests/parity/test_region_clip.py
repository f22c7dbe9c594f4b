"""One step of the region-text baseline against the reference: sampling, loss, gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clipself_mm.clip import roi_pool
from clipself_mm.losses import RegionTextLoss, sample_categories
from tests.parity.fixtures import GoldenFile, fixture_json
from tests.parity.tiny_towers import build_tower, logit_scale, recorded_names

pytestmark = pytest.mark.parity

WEIGHTS = 'clipself_step_eva_student'


class _Recorded:
    """Stands in for the random generator: draws the others that the reference drew."""

    def __init__(self, others):
        self.others = others

    def choice(self, pool, size, replace):
        assert not replace
        assert size == len(self.others)
        assert set(self.others) <= set(pool)
        return self.others


def test_region_clip():
    golden = GoldenFile('region_clip')
    images = torch.from_numpy(golden.inputs['images'])
    boxes = torch.from_numpy(golden.inputs['boxes'])
    valid = boxes[..., 5] > 0.5
    boxes_px = [box[keep, :4] * images.shape[-1] for box, keep in zip(boxes, valid, strict=True)]
    labels = boxes[..., 4][valid].long()
    nouns = F.normalize(torch.from_numpy(golden.inputs['noun_embeddings']), dim=-1)

    recorded = golden.outputs['sampled_category_inds']
    others = recorded[~np.isin(recorded, labels)]
    count = golden.config['num_sampled']
    sampled = sample_categories(labels, len(nouns), count, _Recorded(others))
    golden.check('sampled_category_inds', sampled)

    student = build_tower(WEIGHTS, fixture_json('config.json')).train()
    student.unlock_blocks(None)
    scale = logit_scale(WEIGHTS)
    golden.check('temperature', scale)
    pooled = roi_pool(student.encode_dense(images), boxes_px, student.patch_size)
    golden.check('box_features_normalized', F.normalize(pooled, dim=-1))
    loss = RegionTextLoss(num_sampled=count)(pooled, labels, nouns, scale, sampled)
    golden.check('loss_contrast', loss)

    loss.backward()
    recorded_name = recorded_names(WEIGHTS)
    gradients = {
        recorded_name[name]: parameter.grad
        for name, parameter in student.named_parameters()
        if parameter.grad is not None
    }
    norms = torch.stack([gradient.norm() for gradient in gradients.values()])
    golden.check('grad_global_norm_all', norms.norm())
    for key in golden.outputs:
        if key.startswith('grad.'):
            golden.check(key, gradients[key.removeprefix('grad.')])
    golden.finish()
