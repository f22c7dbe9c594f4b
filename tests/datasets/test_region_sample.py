import pickle

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import BaseDataElement, InstanceData
from torch.utils.data._utils.pin_memory import pin_memory

from clipself_mm.datasets import ImageReadError, RegionSample


def test_regions_and_predictions_travel_together():
    sample = RegionSample(metainfo=dict(img_id=4))
    sample.regions = InstanceData(boxes_px=torch.zeros(2, 4))
    sample.pred_regions = InstanceData(boxes_topk=torch.zeros(2, 5, dtype=torch.int64))
    copied = pickle.loads(pickle.dumps(sample)).to('cpu')
    assert copied.img_id == 4
    assert copied.regions.boxes_px.shape == (2, 4)
    assert copied.pred_regions.boxes_topk.shape == (2, 5)
    del copied.regions, copied.pred_regions
    assert 'regions' not in copied
    assert 'pred_regions' not in copied


def test_a_batch_is_pinned_with_its_boxes_and_cached_targets(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda t, *_: pinned.append(t) or t.clone())
    sample = RegionSample(metainfo=dict(img_id=4))
    sample.regions = InstanceData(boxes_px=torch.rand(2, 4))
    sample.cached_targets = BaseDataElement(metainfo=dict(folder='f'), embeddings=torch.rand(2, 8))
    image = torch.zeros(3, 4, 5, dtype=torch.uint8)
    batch = pseudo_collate([dict(inputs=dict(image=image), data_samples=sample)])
    found = pin_memory(batch)
    assert {id(tensor) for tensor in pinned} == {
        *(id(image), id(sample.regions.boxes_px), id(sample.cached_targets.embeddings))
    }
    (copied,) = found['data_samples']
    assert copied.img_id == 4
    assert torch.equal(copied.regions.boxes_px, sample.regions.boxes_px)
    assert copied.cached_targets.folder == 'f'
    assert torch.equal(copied.cached_targets.embeddings, sample.cached_targets.embeddings)


def test_only_instance_data():
    sample = RegionSample()
    with pytest.raises(AssertionError):
        sample.regions = torch.zeros(2, 4)
    with pytest.raises(AssertionError):
        sample.pred_regions = [1]


def test_image_read_error_survives_pickling():
    error = pickle.loads(pickle.dumps(ImageReadError('a.png', 'no such file')))
    assert (error.path, error.why, str(error)) == ('a.png', 'no such file', 'a.png: no such file')
