"""Labels made a few classes at a time are those of all classes at once."""

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg')

from clipself_mm.segmentation import find_vocabulary, label_map


def test_by_hand():
    logits = torch.tensor([[[0.0, 2.0]], [[1.0, 1.0]]])
    labels, probability = label_map(logits, (1, 2))
    assert labels.tolist() == [[1, 0]]
    torch.testing.assert_close(probability, torch.full((1, 2), 1 / (1 + 2.718281828**-1)))


@pytest.mark.parametrize('values', [1, 60, 7 * 60, 10**6])
def test_pieces_make_no_difference(values):
    logits = 5 * torch.randn(11, 3, 4, generator=torch.Generator().manual_seed(0))
    labels, probability = label_map(logits, (6, 10), values)
    whole = F.interpolate(logits[None], (6, 10), mode='bilinear', align_corners=False)[0]
    assert torch.equal(labels, whole.argmax(0))
    torch.testing.assert_close(probability, whole.softmax(0).amax(0))


def test_of_equal_classes_the_first_wins():
    labels, probability = label_map(torch.zeros(5, 2, 2), (4, 4), values=16)
    assert labels.unique().tolist() == [0]
    torch.testing.assert_close(probability, torch.full((4, 4), 0.2))


def test_vocabularies_by_data_set_name_and_list():
    ade = find_vocabulary('ADE20KDataset').classes
    assert (len(ade), ade[0], ade[-1]) == (150, 'wall', 'flag')
    assert len(find_vocabulary('PascalContextDataset59').classes) == 59
    assert len(find_vocabulary('COCOStuffDataset').classes) == 171
    assert len(find_vocabulary('shapes_ov_panoptic').classes) == 73
    assert find_vocabulary(('b', 'a')).classes == ('b', 'a')


def test_what_is_no_vocabulary_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="'NoDataset'"):
        find_vocabulary('NoDataset')
    with pytest.raises(FileNotFoundError, match=r'ade847\.json'):
        find_vocabulary(str(tmp_path / 'ade847.json'))
    with pytest.raises(ValueError, match='BaseSegDataset'):
        find_vocabulary('BaseSegDataset')
    with pytest.raises(ValueError, match=r"classes.*\['a'\]"):
        find_vocabulary(['a', 'a'])
