"""Figure A1's tools on a micro CLIP: sizes, crops measured once, resumed, drawn."""

import sys
import uuid

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from clipself_mm.datasets import load_vocabulary
from projects.size_sweep.accuracy import read_accuracy
from projects.size_sweep.sweep import config_at_size, config_digest, weights_digest
from tests.commands import ROOT, call_on_two, load_tool
from tests.factories import write_micro_clip

CONFIG = """
_base_ = ['BASE']
custom_imports = dict(imports=['clipself_mm'], allow_failed_imports=False)
model = dict(
    tower=dict(model='TOWER'),
    classifier=dict(_delete_=True, vocabulary='shapes_ov_panoptic', embeddings='words.pt'),
)
test_dataloader = dict(dataset=dict(data_root='DATA/'))
work_dir = 'RUN'
"""


@pytest.fixture
def config(tmp_path, monkeypatch, micro_clip, shapes):
    """Path of a config on the micro CLIP with random class embeddings; the folder is current."""
    monkeypatch.chdir(tmp_path)
    classes = load_vocabulary('shapes_ov_panoptic').classes
    vectors = torch.randn(len(classes), 16, generator=torch.Generator().manual_seed(0))
    torch.save(dict(zip(classes, vectors, strict=True)), 'words.pt')
    base = ROOT / 'configs/shapes/region-eval_tiny_shapes-ov.py'
    text = CONFIG.replace('BASE', str(base)).replace('TOWER', micro_clip)
    text = text.replace('DATA', str(shapes)).replace('RUN', uuid.uuid4().hex)
    (tmp_path / 'micro.py').write_text(text)
    return tmp_path / 'micro.py'


@pytest.fixture
def measure(config, monkeypatch):
    """Runs the tool; returns the sizes that were tested, whether with crops, and the rows."""

    def run(*words):
        ran = []
        from_cfg = Runner.from_cfg.__func__

        def spy(cls, cfg):
            types = [step['type'] for step in cfg.test_dataloader.dataset.pipeline]
            ran.append((cfg.model.data_preprocessor.image_size, 'CropRegions' in types))
            return from_cfg(cls, cfg)

        argv = ['region_accuracy_by_size.py', str(config), '--out', 'figure', *words]
        with monkeypatch.context() as patch:
            patch.setattr(Runner, 'from_cfg', classmethod(spy))
            patch.setattr(sys, 'argv', argv)
            load_tool('region_accuracy_by_size').main()
        return ran, read_accuracy('figure/accuracy.csv')

    return run


@pytest.mark.slow
def test_sizes_are_measured_once(measure, config, tmp_path):
    ran, rows = measure('--sizes', '64', '32')
    assert ran == [(64, True), (32, False)]
    dense = ['boxes', 'thing_masks', 'stuff_masks']
    assert [(row.size, row.route) for row in rows] == [
        (64, 'image_crops'),
        *[(64, route) for route in dense],
        *[(32, route) for route in dense],
    ]
    ran, more = measure('--sizes', '32', '96', '64')
    assert ran == [(96, False)]
    assert more[: len(rows)] == rows
    assert [row.size for row in more[len(rows) :]] == [96] * 3
    assert Image.open('figure/accuracy.png').size[0] > 500
    # The row of a size is what a plain test at this size says.
    plain = Config.fromfile(config)
    plain.merge_from_dict(
        {
            'test_dataloader.dataset.pipeline.4.size': 32,
            'model.data_preprocessor.image_size': 32,
            'work_dir': 'plain',
        }
    )
    metrics = Runner.from_cfg(plain).test()
    for item in [row for row in more if row.size == 32 or row.route == 'image_crops']:
        for top in ('top1', 'top5'):
            expected = metrics[f'region/{item.route}/{top}']
            assert getattr(item, top) == pytest.approx(expected, abs=1e-4)


def test_file_of_a_different_config_raises(measure):
    measure('--sizes', '32')
    with pytest.raises(ValueError, match=r'accuracy\.csv.*config'):
        measure('--sizes', '64', '--cfg-options', 'test_dataloader.dataset.pipeline.3.size=16')


def test_invalid_size_raises(measure):
    with pytest.raises(ValueError, match=r'\b8\b.*\b60\b.*\b56\b.*\b64\b'):
        measure('--sizes', '64', '60')


def test_digests_depend_on_weights_and_config_but_not_on_size(config, micro_clip, tmp_path):
    base = Config.fromfile(config)
    assert config_digest(config_at_size(base, 32)) == config_digest(base)
    longer = Config.fromfile(config)
    longer.model.classifier.topk = 7
    assert config_digest(longer) != config_digest(base)
    other = Config.fromfile(config)
    other.model.tower.model = write_micro_clip(tmp_path / 'other', seed=1)
    assert weights_digest(other) != weights_digest(base)
    before = weights_digest(base)
    torch.save(dict(alpha=torch.zeros(2)), 'words.pt')
    assert weights_digest(base) != before


@pytest.mark.slow
def test_two_processes_write_the_same_file_as_one(measure, config, tmp_path):
    _, alone = measure('--sizes', '32', '64')
    tool = ROOT / 'tools/region_accuracy_by_size.py'
    call_on_two(tool, config, '--sizes', '32', '64', '--out', 'two', cwd=tmp_path)
    assert read_accuracy('two/accuracy.csv') == alone
    assert (tmp_path / 'two/accuracy.png').is_file()


@pytest.mark.slow
def test_plot_several_tables(measure, monkeypatch, tmp_path):
    measure('--sizes', '32', '64')
    tool = load_tool('plot_region_accuracy')
    words = ['plot_region_accuracy.py', 'a=figure/accuracy.csv', 'figure/accuracy.csv']
    monkeypatch.setattr(sys, 'argv', [*words, '--out', 'new/both.png'])
    tool.main()
    assert (tmp_path / 'new/both.png').stat().st_size > 10_000
    assert tool.labelled('figure/accuracy.csv') == ('figure', 'figure/accuracy.csv')
    (tmp_path / 'lr=1').mkdir()
    (tmp_path / 'lr=1/accuracy.csv').touch()
    assert tool.labelled('lr=1/accuracy.csv') == ('lr=1', 'lr=1/accuracy.csv')
    assert tool.labelled('a=lr=1/accuracy.csv') == ('a', 'lr=1/accuracy.csv')
    monkeypatch.setattr(sys, 'argv', [words[0], *words[2:], *words[2:]])
    with pytest.raises(SystemExit, match=r"LABEL=FILE.*\['figure', 'figure'\]"):
        tool.main()
