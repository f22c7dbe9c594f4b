"""Where a config names its input size, and sizes that fit a tower."""

import pytest
from mmengine.config import Config

from clipself_mm.datasets import ResizeLongest
from projects.size_sweep.sweep import check_sizes, input_size, set_input_size


def make_config(size=128, padded=128, kind='ResizeLongest'):
    pipeline = [dict(type='CropRegions', size=64), dict(type=kind, size=size)]
    return Config(
        dict(
            model=dict(data_preprocessor=dict(type='RegionPreprocessor', image_size=padded)),
            test_dataloader=dict(dataset=dict(type='PanopticRegions', pipeline=pipeline)),
        )
    )


@pytest.mark.parametrize('kind', ['ResizeLongest', 'mmengine.ResizeLongest', ResizeLongest])
def test_pipeline_and_preprocessor_are_set_and_crops_stay(kind):
    config = make_config(kind=kind)
    assert input_size(config) == 128
    set_input_size(config, 256)
    crops, resize = config.test_dataloader.dataset.pipeline
    assert (crops['size'], resize['size']) == (64, 256)
    assert config.model.data_preprocessor.image_size == 256


def test_wrapped_data_sets_are_searched():
    config = make_config()
    inner = config.test_dataloader.dataset
    other = dict(type='Other', pipeline=[dict(type='ResizeLongest', size=128)])
    config.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[inner, other])
    set_input_size(config, 96)
    datasets = config.test_dataloader.dataset.datasets
    assert [dataset.pipeline[-1]['size'] for dataset in datasets] == [96, 96]


def test_missing_or_different_sizes_raise():
    with pytest.raises(ValueError, match=r'ResizeLongest.*test_dataloader'):
        set_input_size(make_config(kind='Resize'), 96)
    with pytest.raises(ValueError, match=r'image_size.*model\.data_preprocessor'):
        set_input_size(make_config(padded=None), 96)
    with pytest.raises(ValueError, match=r'ResizeLongest.*\[128\].*image_size.*\b64\b'):
        set_input_size(make_config(padded=64), 96)
    with pytest.raises(ValueError, match='test_dataloader'):
        input_size(Config(dict(model=dict())))


def test_invalid_sizes_raise():
    check_sizes([320, 480, 1024], 16)
    with pytest.raises(ValueError, match=r'\b14\b.*\b320\b.*\b308\b.*\b322\b'):
        check_sizes([320, 336], 14)
    with pytest.raises(ValueError, match=r'\b32\b.*\b20\b.*\b32\b.*\b33\b.*\b32\b.*\b64\b'):
        check_sizes([20, 32, 33], 32)
    with pytest.raises(ValueError, match=r'\[32, 32\]'):
        check_sizes([32, 32], 16)
    with pytest.raises(ValueError, match=r'\[\]'):
        check_sizes([], 16)
