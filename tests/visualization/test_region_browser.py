import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from clipself_mm.visualization.region_browser import COLOURS, browse, crop_sheet, draw_boxes
from tests.commands import call
from tests.datasets.coco_files import box, training_pipeline, write_images, write_json

TOOL = Path(__file__).parents[2] / 'tools' / 'browse_regions.py'


@pytest.fixture
def config(tmp_path):
    images = write_images(tmp_path, [(60, 40), (40, 60)])
    ann_file = write_json(tmp_path / 'a.json', images=images, annotations=[box(0, [5, 5, 30, 20])])
    dataset = dict(
        type='ImageRegions',
        ann_file=ann_file,
        data_prefix=dict(img=str(tmp_path)),
        pipeline=training_pipeline(dict(type='ProposalRegions'), crop_size=32, size=120),
    )
    config = Config(
        dict(
            custom_imports=dict(imports=['clipself_mm']),
            train_dataloader=dict(dataset=dataset),
        )
    )
    config.dump(tmp_path / 'config.py')
    return tmp_path / 'config.py'


def test_box_position():
    picture = np.asarray(draw_boxes(np.zeros((40, 60, 3), np.uint8), np.array([[10, 5, 50, 30]])))
    assert tuple(picture[30, 30]) == COLOURS[0]
    assert tuple(picture[20, 50]) == COLOURS[0]
    assert not picture[:5].any()
    assert not picture[:, 51:].any()


def test_crops_are_arranged_in_columns():
    crops = np.full((3, 3, 30, 30), 77, np.uint8)
    sheet = np.asarray(crop_sheet(crops, height=70))
    assert sheet.shape == (70, 60, 3)
    assert tuple(sheet[15, 0]) == COLOURS[0]
    assert tuple(sheet[45, 0]) == COLOURS[1]
    assert tuple(sheet[15, 30]) == COLOURS[2]
    assert tuple(sheet[25, 55]) == (77, 77, 77)
    assert (sheet[30:, 30:] == 255).all()
    assert crop_sheet(crops[:0], height=70).size == (0, 70)


def test_figures_of_a_config(config, tmp_path):
    paths = list(browse(Config.fromfile(config), tmp_path / 'out', number=5))
    assert [path.name for path in paths] == ['0000_0.png', '0001_1.png']
    assert Image.open(paths[0]).size == (120 + 32, 80)
    with pytest.raises(ValueError, match='val_dataloader'):
        next(browse(Config.fromfile(config), tmp_path / 'out', 1, split='val'))


def test_crops_of_the_device_are_drawn_as_well(config, tmp_path):
    drawn = {}
    for backend in ('pillow', 'device'):
        settings = Config.fromfile(config)
        for step in settings.train_dataloader.dataset.pipeline[2:4]:
            step.backend = backend
        (path,) = browse(settings, tmp_path / backend, number=1)
        drawn[backend] = np.asarray(Image.open(path), np.int16)
    assert np.abs(drawn['device'] - drawn['pillow']).max() <= 2


@pytest.mark.slow
def test_tool_prints_the_paths(config, tmp_path):
    done = call([sys.executable, TOOL, config, '--out-dir', 'out', '--number', 1], tmp_path)
    assert done.stdout.splitlines()[-1] == 'out/0000_0.png'  # mmdet may print before
    assert (tmp_path / 'out' / '0000_0.png').is_file()
