"""Panoptic configs build; the miniature trains, is tested and drawn by the tools."""

import ast
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, MODELS, init_default_scope

pytest.importorskip('panopticapi')

from clipself_mm.datasets import load_vocabulary
from clipself_mm.hooks import VocabularyCheckHook
from clipself_mm.hooks.vocabulary_check_hook import check_classes
from tests.segmentation.stub_tower import PatchColourTower  # noqa: F401

ROOT = Path(__file__).parents[2]
REAL = sorted((ROOT / 'configs/panoptic').glob('*.py'))
TRAIN = ROOT / 'configs/shapes/mask2former_tiny_shapes-ov.py'
FUSED = ROOT / 'configs/shapes/panoptic-fusion_tiny_shapes-ov.py'
pytestmark = pytest.mark.usefixtures('elsewhere')


def build(config):
    """The model; weights that are not in the package stay on the meta device."""
    model = config.model.copy()
    model.generator_checkpoint = None
    if 'swin' in model.generator:  # reads numbers of its tensors, which the meta device has not
        model.tower = dict(type='PatchColourTower')
        return MODELS.build(model)
    model.tower.checkpoint = None
    with torch.device('meta'):
        return MODELS.build(model)


@pytest.mark.slow
@pytest.mark.parametrize('path', REAL, ids=lambda path: path.stem)
def test_real_config_builds(path):
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    assert config.model.generator.split('/')[-1][:-3] in config.model.generator_checkpoint
    model = build(config)
    loader = config.test_dataloader
    data = DATASETS.build({**loader.dataset, 'lazy_init': True})
    assert data.pipeline.transforms
    check_classes(model, model.classes, type('Loader', (), dict(dataset=data)))
    assert len(model.seen.classes) == model.generator.num_classes == 133
    assert model.panoptic_fusion_head.num_things_classes == len(data.metainfo['thing_classes'])
    assert isinstance(HOOKS.build(config.default_hooks.vocabulary), VocabularyCheckHook)
    assert config.val_dataloader == loader
    assert config.val_evaluator == config.test_evaluator
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert path.stem in text
    assert 'Table 6' in text


def test_coco_matches_itself_and_part_of_ade20k():
    init_default_scope('mmdet')
    r50 = 'panoptic-fusion_mask2former-r50_openai-l14-336_'
    coco, ade = (
        build(Config.fromfile(ROOT / f'configs/panoptic/{r50}{data}.py'))
        for data in ('coco', 'ade20k-150')
    )
    assert torch.equal(coco._matches, torch.eye(133))
    named = [name for name in ade.classes if name in ade.seen.classes]
    listed = set(Config.fromfile(ROOT / f'configs/panoptic/{r50}ade20k-150.py').model.matches)
    assert int(ade._matches.any(dim=1).sum()) == len({*named, *listed}) == 66
    row = dict(zip(ade.classes, ade._matches, strict=True))
    whose = [ade.seen.classes[i] for i in row['animal'].nonzero().flatten().tolist()]
    assert whose[:2] == ['bird', 'cat']
    assert len(whose) == 10


def test_tiny_config_has_the_exponents_of_odises_caption_model():
    """0.35 of CLIP for classes that the generator learned, 0.65 for those it did not."""
    config = Config.fromfile(FUSED)
    init_default_scope(config.default_scope)
    config.model.generator_checkpoint = None
    model = MODELS.build(config.model)
    shares = dict(zip(model.classes, model._weights.tolist(), strict=True))
    learned = load_vocabulary('shapes_ov_panoptic_base').classes
    assert [round(shares[name], 6) for name in learned] == 58 * [0.35]
    assert {round(shares[name], 6) for name in model.classes if name not in learned} == {0.65}


@pytest.mark.slow
def test_tiny_config_trains_and_tests(shapes, run_tool, capsys):
    """Two steps by tools/train.py, then tools/test.py and the picture, on three scenes."""
    config = Config.fromfile(TRAIN)
    for split in ('train', 'val', 'test'):
        config[f'{split}_dataloader'].dataset.data_root = str(shapes)
        config[f'{split}_dataloader'].batch_size = 2
    move_evaluators(config, shapes)
    config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=5)
    config.val_dataloader.dataset.indices = 1
    config.dump('train.py')
    run_tool('train', 'train.py', '--work-dir', 'train')
    assert Path('train/iter_2.pth').is_file()

    config = Config.fromfile(FUSED)
    config.model.generator_checkpoint = 'train/iter_2.pth'
    config.test_dataloader.dataset.update(data_root=str(shapes), indices=3)
    move_evaluators(config, shapes)
    config.dump('fused.py')
    run_tool('test', 'fused.py', '--work-dir', 'test')
    log = next(Path('test').glob('*/*.log')).read_text()
    for key in ('coco_panoptic/PQ:', 'coco_panoptic/PQ_unseen:', 'coco/segm_all_ap:', 'mIoU:'):
        assert key in log

    picture = next((shapes / 'val').glob('*.jpg'))
    capsys.readouterr()
    texts = ['--things', 'red star. blue ring', '--stuff', 'grass', '--out', 'out/found.png']
    run_tool('panoptic_image', picture, 'fused.py', *texts)
    assert capsys.readouterr().out.strip().endswith('out/found.png')
    assert Path('out/found.png').is_file()
    with pytest.raises(SystemExit, match=r'^error: absent\.jpg: no such file$'):
        run_tool('panoptic_image', 'absent.jpg', 'fused.py', *texts)


def move_evaluators(config, shapes):
    """Evaluators read the annotations of the small Shapes-OV."""
    for evaluators in (config.val_evaluator, config.test_evaluator):
        for evaluator in evaluators:
            for key in ('ann_file', 'seg_prefix'):
                if key in evaluator:
                    evaluator[key] = evaluator[key].replace('data/shapes_ov', str(shapes))
