"""The loaders that are compared do the same work, and the counts are right."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from benchmarks import region_loader
from benchmarks.crop_agreement import agreement, cutter, shapes_crops
from benchmarks.region_photos import write_samples
from benchmarks.timed_loader import build_loaders, resize_products, sample_counts
from clipself_mm.clip import build_tower
from clipself_mm.distillers import RegionPreprocessor
from tests.commands import ROOT

CONFIG = str(ROOT / 'configs/shapes/clipself_tiny_{}_shapes-ov.py')


def test_products_by_hand():
    # The same size: 4 taps for 4 x 8 values a pass, two passes, three channels.
    assert resize_products(4, 8, 8) == 3 * 2 * 4 * 32
    # Half the size: 8 taps; 8 rows of 4 values, then 4 rows of 4.
    assert resize_products(8, 8, 4) == 3 * 8 * (32 + 16)


def test_counts_by_hand():
    results = dict(ori_shape=(8, 8), crop_boxes_src=np.array([[0.0, 0, 4, 4], [4, 4, 8, 8]]))
    counts = sample_counts(results, size=8, crop_size=4)
    assert counts == dict(
        regions=2,
        decoded_bytes=192,
        crop_products=2 * resize_products(4, 4, 4),
        image_products=resize_products(8, 8, 8),
    )


@pytest.mark.parametrize('kind', ['patches', 'proposals'])
def test_the_reference_makes_what_our_pipeline_and_preprocessor_make(tmp_path, kind):
    pipeline = Config.fromfile(CONFIG.format(kind)).train_dataloader.dataset.pipeline
    loaders = build_loaders(pipeline)
    samples = [
        dict(sample, rng_key=(0, 1, number))
        for number, sample in enumerate(write_samples(tmp_path, 2, 90, 61))
    ]
    images, crops = loaders['reference'].batch(samples)
    exact, fast = (loaders[name].batch(samples) for name in ('exact', 'fast'))
    made = [len(part) for part in exact['inputs']['crops']]
    assert made == [len(part) for part in fast['inputs']['crops']]
    assert images.shape == (2, 3, 128, 128)
    assert crops.shape == (2, 20, 3, 64, 64)
    ours = RegionPreprocessor(image_size=128)(exact)['inputs']
    torch.testing.assert_close(images, ours['images'])
    valid = torch.cat([part[:count] for part, count in zip(crops, made, strict=True)])
    torch.testing.assert_close(valid, ours['crops'])
    assert not any(part[count:].any() for part, count in zip(crops, made, strict=True))


def test_one_command(tmp_path, monkeypatch, capsys):
    figures = tmp_path / 'figures.json'
    options = ['--images', '2', '--rounds', '2', '--photo', '64', '48', '--scenes', '0']
    command = ['x', '--config', CONFIG.format('patches'), *options, '--json', str(figures)]
    monkeypatch.setattr('sys.argv', command)
    monkeypatch.setattr(region_loader, 'copy_rate', lambda: 1e9)
    threads = torch.get_num_threads()
    region_loader.main()
    torch.set_num_threads(threads)
    speed = json.loads(figures.read_text())['speed']
    assert speed['reference']['bytes'] == 4 * 3 * (128**2 + 20 * 64**2)
    regions = speed['counts']['regions']
    assert speed['exact']['bytes'] == speed['fast']['bytes'] == 3 * (128 * 96 + regions * 64**2)
    assert speed['counts']['decoded_bytes'] == 3 * 64 * 48
    assert list(speed['fast']['ms']) == [
        *('LoadRGB', 'SampleRegions', 'CropRegions', 'ResizeLongest', 'PackRegions', 'collate')
    ]
    printed = capsys.readouterr().out
    assert all(name in printed for name in ('reference', 'exact', 'fast', 'left to the model'))


def test_a_missing_data_set_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['x', '--shapes', str(tmp_path / 'none')])
    with pytest.raises(SystemExit):
        region_loader.main()
    shown = capsys.readouterr().err
    assert str(tmp_path / 'none') in shown
    assert 'tools/make_shapes_ov.py' in shown


def write_scene(folder):
    """Write one validation scene of 60 x 40 pixels with two boxes."""
    (folder / 'annotations').mkdir()
    (folder / 'val').mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    picture = Image.fromarray(pixels).resize((60, 40), Image.Resampling.BICUBIC)
    picture.save(folder / 'val' / 'a.png')
    boxes = [dict(image_id=1, bbox=box) for box in ([0, 0, 20, 20], [30, 10, 25, 20])]
    content = dict(images=[dict(id=1, file_name='a.png')], annotations=boxes)
    (folder / 'annotations' / 'instances_val.json').write_text(json.dumps(content))


def test_agreement_of_the_tiny_teacher(tmp_path):
    write_scene(tmp_path)
    tower = build_tower(region_loader.TINY_CLIP).eval()
    exact, fast, device = (
        shapes_crops(tmp_path, 1, 64, cutter(name)) for name in ('pillow', 'torch', 'device')
    )
    assert {kind: len(part) for kind, part in exact.items()} == dict(cells=1 + 6 + 16 + 36, boxes=2)
    same = agreement(tower, exact['boxes'], exact['boxes'])
    assert same['differing'] == same['largest'] == 0
    assert same['cosine_gap_max'] == pytest.approx(0, abs=1e-12)
    close = agreement(tower, exact['cells'], fast['cells'])
    assert 0 < close['differing'] < 0.02
    assert 0 < close['cosine_gap_mean'] <= close['cosine_gap_max'] < 1e-5
    closer = agreement(tower, exact['cells'], device['cells'])
    assert closer['differing'] < 1e-3
    assert closer['cosine_gap_max'] < 1e-5
    inverted = agreement(tower, exact['cells'], 255 - exact['cells'])
    assert inverted['cosine_gap_mean'] > 0.05
