"""Labels made a few classes at a time are those of all classes at once."""

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg')

from clipself_mm.segmentation import upsample_argmax


def test_upsample_argmax_by_hand():
    logits = torch.tensor([[[0.0, 2.0]], [[1.0, 1.0]]])
    labels, probability = upsample_argmax(logits, (1, 2))
    assert labels.tolist() == [[1, 0]]
    torch.testing.assert_close(probability, torch.full((1, 2), 1 / (1 + 2.718281828**-1)))


@pytest.mark.parametrize('values', [1, 60, 7 * 60, 10**6])
def test_chunk_size_does_not_change_the_result(values):
    logits = 5 * torch.randn(11, 3, 4, generator=torch.Generator().manual_seed(0))
    labels, probability = upsample_argmax(logits, (6, 10), values)
    whole = F.interpolate(logits[None], (6, 10), mode='bilinear', align_corners=False)[0]
    assert torch.equal(labels, whole.argmax(0))
    torch.testing.assert_close(probability, whole.softmax(0).amax(0))


def test_ties_go_to_the_lowest_label():
    labels, probability = upsample_argmax(torch.zeros(5, 2, 2), (4, 4), values=16)
    assert labels.unique().tolist() == [0]
    torch.testing.assert_close(probability, torch.full((4, 4), 0.2))
