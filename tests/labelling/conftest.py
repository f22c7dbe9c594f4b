"""A small detector and images for it."""

import pytest

from clipself_mm import OpenVocabDetector
from tests.detection.tiny_fvit import write_detector
from tests.labelling.folders import write_photos


@pytest.fixture(scope='package')
def trained(micro_clip, tmp_path_factory):
    """Files of a (random) detector: config.py, checkpoint.pth."""
    folder = tmp_path_factory.mktemp('labelling')
    write_detector(folder, micro_clip)
    return folder


@pytest.fixture(scope='package')
def detector(trained):
    return OpenVocabDetector(trained / 'config.py', trained / 'checkpoint.pth', 'cpu')


@pytest.fixture
def photos(tmp_path):
    """A folder of 11 images in two sub-folders, of two sizes; one is broken."""
    return write_photos(tmp_path / 'photos')
