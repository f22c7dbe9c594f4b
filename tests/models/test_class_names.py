"""Vocabularies of a config: a data set of mm, a file, or a list."""

import pytest

pytest.importorskip('mmseg')

from mmseg.registry import DATASETS

from clipself_mm.models import find_vocabulary, read_names


def test_vocabularies_by_data_set_name_and_list():
    ade = find_vocabulary('ADE20KDataset', DATASETS).classes
    assert (len(ade), ade[0], ade[-1]) == (150, 'wall', 'flag')
    assert len(find_vocabulary('PascalContextDataset59', DATASETS).classes) == 59
    assert len(find_vocabulary('COCOStuffDataset', DATASETS).classes) == 171
    assert len(find_vocabulary('shapes_ov_panoptic', DATASETS).classes) == 73
    assert find_vocabulary(('b', 'a'), DATASETS).classes == ('b', 'a')


def test_invalid_vocabularies_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="'NoDataset'"):
        find_vocabulary('NoDataset', DATASETS)
    with pytest.raises(FileNotFoundError, match=r'ade847\.json'):
        find_vocabulary(str(tmp_path / 'ade847.json'), DATASETS)
    with pytest.raises(ValueError, match=r'BaseSegDataset.*classes'):
        find_vocabulary('BaseSegDataset', DATASETS)
    with pytest.raises(ValueError, match='more than once'):
        find_vocabulary(['a', 'a'], DATASETS)


def test_names_of_a_prompt():
    assert read_names('red star. blue ring . red star.') == ['red star', 'blue ring']
    assert read_names(('a', ' b ')) == ['a', 'b']
