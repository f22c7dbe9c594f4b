"""Zero-shot segmentation configs build, read their data and are measured by tools/test.py."""

import ast
import copy
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS, init_default_scope
from PIL import Image

pytest.importorskip('mmseg')

import mmseg

from clipself_mm.hooks import VocabularyCheckHook
from tests.config_files import write_ade847_names

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / 'configs').glob('*/zero-shot_*.py'))


@pytest.fixture(autouse=True)
def names_of_ade847(elsewhere):
    write_ade847_names()


def build(config):
    """The segmentor; weights that are not in the package stay on the meta device."""
    model = copy.deepcopy(config.model)
    packaged = model.tower.model.startswith('pkg:')
    if not packaged:
        model.tower.checkpoint = None
    with torch.device('cpu' if packaged else 'meta'):
        return MODELS.build(model)


def test_configs_are_found():
    assert len(CONFIGS) == 5


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_builds(path, monkeypatch):
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    preprocessor = MODELS.build(config.model.data_preprocessor)
    monkeypatch.setitem(config.model, 'data_preprocessor', preprocessor)
    model = build(config)
    if 'pascal' in path.stem:  # mmseg looks for the folder
        Path(config.test_dataloader.dataset.data_root, 'JPEGImages').mkdir(parents=True)
    dataset = DATASETS.build({**config.test_dataloader.dataset, 'lazy_init': True})
    assert model.classes == tuple(dataset.metainfo['classes'])
    assert {'ade20k-150': 150, 'ade20k-847': 847, 'pascal-context-59': 59}.get(
        path.stem.split('_')[-1], len(model.classes)
    ) == len(model.classes)
    metric = METRICS.build(config.test_evaluator)
    assert metric.ignore_index == dataset.ignore_index
    assert metric.ignore_index >= len(model.classes)
    assert config.val_dataloader == config.test_dataloader
    assert config.val_evaluator == config.test_evaluator
    assert isinstance(HOOKS.build(config.default_hooks.vocabulary), VocabularyCheckHook)
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert path.stem in text
    assert 'tools/test.py' in text


def test_ade150_labels():
    """Value 0 of the files is no class, 1 is the first; the image is brought to 1024 px."""
    config = Config.fromfile(ROOT / 'configs/segmentation/zero-shot_eva02-b16_ade20k-150.py')
    init_default_scope('mmseg')
    root = Path(config.test_dataloader.dataset.data_root)
    for folder in ('images', 'annotations'):
        (root / folder / 'validation').mkdir(parents=True)
    Image.new('RGB', (512, 300), (255, 0, 0)).save(root / 'images/validation/a.jpg')
    labels = np.full((300, 512), 150, np.uint8)
    labels[0, :2] = (0, 1)
    Image.fromarray(labels).save(root / 'annotations/validation/a.png')
    batch = pseudo_collate([DATASETS.build(config.test_dataloader.dataset)[0]])
    data = MODELS.build(config.model.data_preprocessor)(batch)
    assert data['inputs'].shape == (1, 3, 600, 1024)
    assert data['inputs'][0, :, 300, 500].tolist() == pytest.approx([1.93, -1.75, -1.48], abs=0.03)
    truth = data['data_samples'][0].gt_sem_seg.data
    assert truth.shape == (1, 300, 512)
    assert truth[0, 0, :3].tolist() == [255, 0, 149]


def test_pixels_are_normalised_as_in_distillation():
    config = Config.fromfile(ROOT / 'configs/shapes/zero-shot_tiny_shapes-ov.py')
    init_default_scope('mmseg')
    pixels = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    theirs = MODELS.build(dict(type='RegionPreprocessor'))
    ours = MODELS.build(config.model.data_preprocessor)(dict(inputs=[pixels]))['inputs']
    torch.testing.assert_close(
        ours, theirs.normalise(pixels.flip(0)[None].clone()), atol=1e-5, rtol=1e-5
    )


TOOLS = dict(ours=ROOT / 'tools/test.py', mmseg=Path(mmseg.__file__).parent / '.mim/tools/test.py')


def accuracies(config):
    """Per cent of all pixels, and the mean over the classes there are, by a plain loop."""
    config = Config.fromfile(config)
    init_default_scope('mmseg')
    dataset = DATASETS.build(config.test_dataloader.dataset)
    model = MODELS.build(config.model).eval()
    right, pixels = torch.zeros(73), torch.zeros(73)
    for index in range(len(dataset)):
        with torch.no_grad():
            (found,) = model.test_step(pseudo_collate([dataset[index]]))
        truth, predicted = found.gt_sem_seg.data, found.pred_sem_seg.data
        for label in truth.unique().tolist():
            right[label] += ((truth == label) & (predicted == label)).sum()
            pixels[label] += (truth == label).sum()
    every = (right / pixels)[pixels > 0].mean()
    return [100 * right.sum().item() / pixels.sum().item(), 100 * every.item()]


@pytest.mark.slow
def test_tools_run(shapes, tmp_path, monkeypatch):
    """Both test tools and the loop above agree, on three scenes."""
    config = tmp_path / 'config.py'
    config.write_text(
        f'_base_ = {str(ROOT / "configs/shapes/zero-shot_tiny_shapes-ov.py")!r}\n'
        f'test_dataloader = dict(dataset=dict(data_root={str(shapes)!r}, indices=3))\n'
    )
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'empty.pth')
    measured = []
    for name, tool in TOOLS.items():
        if not tool.is_file():  # mmseg from a checkout has it elsewhere
            continue
        folder = tmp_path / name
        words = [tool, config, tmp_path / 'empty.pth', '--work-dir', folder]
        monkeypatch.setattr(sys, 'argv', [str(word) for word in words])
        runpy.run_path(str(tool), run_name='__main__')
        (file,) = folder.glob('*/*.json')
        numbers = json.loads(file.read_text())
        measured.append([numbers['aAcc'], numbers['mAcc']])
        assert numbers['mIoU'] <= numbers['mAcc']
    expected = accuracies(config)
    assert expected[1] > 0
    for numbers in measured:
        assert numbers == pytest.approx(expected, abs=0.0051)


def test_registered_names_do_not_collide_with_mm_packages():
    import mmdet.registry
    import mmengine.registry
    import mmseg.registry

    ours = []
    for kind in ('MODELS', 'DATASETS', 'TRANSFORMS'):
        for name, item in getattr(mmengine.registry, kind).module_dict.items():
            if item.__module__.startswith('clipself_mm.segmentation'):
                ours.append(name)
                for package in (mmdet, mmseg):
                    assert name not in getattr(package.registry, kind).module_dict
    assert len(ours) >= 6
