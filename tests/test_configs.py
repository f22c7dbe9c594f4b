"""Every config builds: model (weights on the meta device), data, optimisation, hooks."""

import ast
import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    PARAM_SCHEDULERS,
    DefaultScope,
    init_default_scope,
)
from mmengine.runner import Runner

import clipself_mm
from clipself_mm.datasets import load_vocabulary
from clipself_mm.hooks import WeightEnsembleHook
from clipself_mm.hooks.vocabulary_check_hook import check_classes
from tests.config_files import FILE_NAME, prediction, write_data, write_own_vocabulary

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
DISTILLED = (
    'clipself_',
    'declip_',
    'image-text_',
    'object-regions_',
    'pseudo-labels_',
    'region-',
    'scd_',
    'values3_',
)
SEGMENTORS = [p for p in CONFIGS if p.name.startswith(('cat-seg_', 'zero-shot_'))]
PANOPTIC = [p for p in CONFIGS if p.name.startswith(('mask2former_', 'panoptic-fusion_'))]
DISTILLATIONS = [p for p in CONFIGS if p.name.startswith(DISTILLED) or p.parent.name == 'beyond']
DETECTORS = [p for p in CONFIGS if p not in DISTILLATIONS + SEGMENTORS + PANOPTIC]
FVIT = [p for p in DETECTORS if p.parent.name in ('fvit', 'transfer')]


def name_of(path):
    return str(path.relative_to(ROOT / 'configs'))


def test_configs_are_found():
    folders = {path.parent.name for path in CONFIGS}
    expected = {'clipself', 'fvit', 'region_eval', 'rpn', 'segmentation', 'shapes', 'transfer'}
    assert {*expected, 'panoptic'} <= folders


@pytest.fixture(autouse=True)
def class_files(elsewhere):
    """The files that configs take classes from, in the current folder."""
    write_own_vocabulary('data/own/vocabulary.json')
    pairs = Path('data/coco/annotations/coco_pseudo_4764.json')
    pairs.parent.mkdir(parents=True)
    nouns = [dict(id=number, name=name) for number, name in enumerate(('cup', 'red cup'))]
    pairs.write_text(json.dumps(dict(images=[], annotations=[], categories=nouns)))
    own_clip = Path('work_dirs/tiny_clip_emoji')
    own_clip.parent.mkdir()
    own_clip.symlink_to(ROOT / 'clipself_mm/shapes/tiny_clip')


def build_model(config):
    """The model, with random weights on the meta device if its own are not there."""
    model = copy.deepcopy(config.model)
    tower = model.tower if 'tower' in model else model.backbone.get('tower')
    packaged = tower is not None and tower.model.startswith(('pkg:', 'local-dir:'))
    if tower is not None and not packaged:
        tower.checkpoint = None
    with torch.device('cpu' if packaged else 'meta'):
        return MODELS.build(model)


@pytest.mark.slow
@pytest.mark.parametrize('path', DISTILLATIONS, ids=name_of)
def test_distillation_config_builds(path):
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    model = build_model(config)
    for split in ('train', 'val', 'test'):
        loader = config.get(f'{split}_dataloader')
        if loader is not None:
            dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
            assert dataset.pipeline.transforms
            assert loader.sampler.type in DATA_SAMPLERS
        if config.get(f'{split}_evaluator') is not None:
            METRICS.build(config[f'{split}_evaluator'])
    build_hooks(config)
    if 'optim_wrapper' in config:
        wrapper = dict(config.optim_wrapper, type='OptimWrapper')
        constructor = OPTIM_WRAPPER_CONSTRUCTORS.get(wrapper.pop('constructor'))
        optimizer = constructor(wrapper)(model).optimizer
        blocks = model.student.blocks
        unlocked = (
            len(blocks) if config.model.unlocked_blocks is None else config.model.unlocked_blocks
        )
        trained = {id(p) for group in optimizer.param_groups for p in group['params']}
        of_blocks = {
            id(p) for block in blocks[len(blocks) - unlocked :] for p in block.parameters()
        }
        off_path = {id(p) for p in model.student.parameters_off_dense_path()}
        if config.model.type == 'ImageText':  # trains through the class token, all of the block
            off_path = set()
        assert trained == of_blocks - off_path
        build_schedulers(config, optimizer)


def build_hooks(config):
    """Build the hooks of ours that a config names."""
    for hook in config.default_hooks.values():
        if hook is not None and hook.type in HOOKS.module_dict:
            HOOKS.build(hook)


def build_schedulers(config, optimizer):
    """Build every scheduler of a config, as mmengine's runner does."""
    for scheduler in config.param_scheduler:
        built = dict(scheduler)
        if built.pop('convert_to_iter_based', False):
            kind = PARAM_SCHEDULERS.get(built.pop('type'))
            kind.build_iter_from_epoch(optimizer=optimizer, epoch_length=2000, **built)
        else:
            PARAM_SCHEDULERS.build({**built, 'optimizer': optimizer})


@pytest.mark.parametrize('path', DETECTORS, ids=name_of)
def test_detector_config_builds(path):
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    model = build_model(config)
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    of_tower = set()
    if 'tower' in config.model.backbone:
        of_tower = {id(p) for p in model.backbone.tower.parameters()} & trained
        assert model.backbone.frozen == (not of_tower)
    assert trained - of_tower
    build_hooks(config)
    if 'tta_model' in config:
        MODELS.build(dict(config.tta_model, module=model))
    if config.get('optim_wrapper') is not None:
        optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
        lr_of = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}
        paramwise = config.optim_wrapper.get('paramwise_cfg', {})
        mult = paramwise.get('custom_keys', {}).get('tower', {}).get('lr_mult', 1)
        lr = config.optim_wrapper.optimizer.lr
        assert {lr_of[p] for p in trained - of_tower} == {lr}
        assert {lr_of[p] for p in of_tower} == ({lr * mult} if of_tower else set())
        build_schedulers(config, optimizer)


@pytest.mark.slow
@pytest.mark.parametrize('path', DETECTORS, ids=name_of)
def test_detector_config_reads_its_data(path):
    """Pipelines, padding and metric, on one image with one box."""
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    preprocessor = MODELS.build(config.model.data_preprocessor)
    divisor = config.model.data_preprocessor.pad_size_divisor
    for split in ('train', 'test'):  # val is test
        if config.get(f'{split}_dataloader') is None:
            continue
        loader = config[f'{split}_dataloader']
        if loader.dataset.type == 'CheckedVOCDataset':
            assert DATASETS.build({**loader.dataset, 'lazy_init': True}).pipeline.transforms
            METRICS.build(config.test_evaluator)
            continue
        write_data(loader.dataset)
        dataset = DATASETS.build(loader.dataset)
        batch = preprocessor(pseudo_collate([dataset[0]]), training=split == 'train')
        height, width = batch['inputs'].shape[-2:]
        assert (height % divisor, width % divisor) == (0, 0)
        if path.parent.name in ('fvit', 'transfer'):
            assert (height, width) == config.test_dataloader.dataset.pipeline[1].scale
        if split == 'test':
            if config.model.type != 'RPN':  # which has no classes
                check_prompt_is_kept(dataset)
            check_metric(config, dataset.metainfo)
            assert batch['data_samples'][0].gt_instances.bboxes.tolist() == [[10, 10, 30, 26]]
    if config.get('val_dataloader') is not None:
        assert config.val_dataloader == config.test_dataloader
        assert config.val_evaluator == config.test_evaluator


def check_prompt_is_kept(dataset):
    """What `DetInferencer(texts=...)` puts into a sample reaches the model."""
    prompted = dict(dataset.get_data_info(0), text='cup. pen', custom_entities=True)
    assert dataset.pipeline(prompted)['data_samples'].text == 'cup. pen'
    assert 'text' not in dataset[0]['data_samples']


def check_metric(config, metainfo):
    """A right prediction counts as one, and the best checkpoint is chosen by a number there is."""
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = metainfo
    evaluator.process([dict(prediction(config.test_dataloader.dataset), img_path=FILE_NAME)])
    numbers = evaluator.evaluate(1)
    if 'proposals/per_image' in numbers:
        assert numbers == {'proposals/per_image': 1}
        return
    keys = ('lvis/segm_ap', 'proposals/all_ar100', 'coco/all_ap50')
    assert numbers[next(key for key in keys if key in numbers)] > 0.999
    if config.get('train_dataloader') is not None:
        assert config.default_hooks.checkpoint.save_best in numbers


@pytest.mark.slow
@pytest.mark.parametrize('path', FVIT, ids=name_of)
def test_pyramid_has_the_strides_of_the_heads(path):
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    model = build_model(config)
    side = config.test_dataloader.dataset.pipeline[1].scale[0]
    with torch.device('meta'):
        maps, dense = model.backbone.forward_with_dense(torch.empty(1, 3, side, side))
        levels = model.neck(maps)
    strides = [(side / level.shape[3], side / level.shape[2]) for level in levels]
    assert strides == model.rpn_head.prior_generator.strides
    roi_head = config.model.roi_head
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        if roi_head.get(name) is not None:
            assert [(s, s) for s in roi_head[name].featmap_strides] == strides[:4]
    (stride,) = roi_head.clip_roi_extractor.featmap_strides
    channels = roi_head.clip_roi_extractor.out_channels
    assert dense.shape == (1, channels, side / stride, side / stride)
    assert roi_head.bbox_head.fc_out_channels == channels == model.backbone.tower.dim


@pytest.mark.slow
def test_a_real_detector_trains_and_predicts(tmp_path):
    """OV-LVIS's, the one with every part, on a small image: weights are random, shapes are not."""
    config = Config.fromfile(ROOT / 'configs/fvit/fvit_eva02-b16_8xb8-48e_ov-lvis.py')
    init_default_scope('mmdet')
    settings, head = config.model, config.model.roi_head.bbox_head
    names = (*load_vocabulary(head.vocabulary).classes, 'background')
    vectors = torch.randn(len(names), 512, generator=torch.Generator().manual_seed(0))
    torch.save(dict(zip(names, vectors, strict=True)), tmp_path / 'lvis.pt')
    head.cls_predictor_cfg.embeddings = str(tmp_path / 'lvis.pt')
    settings.backbone.tower.checkpoint = None
    settings.train_cfg.rcnn.sampler.num = 16
    settings.test_cfg.rcnn.max_per_img = 5
    torch.manual_seed(0)
    model = MODELS.build(settings)
    data = demo_mm_inputs(1, [[3, 100, 128]], num_items=[2], num_classes=3, with_mask=True)
    losses = model.train()(**model.data_preprocessor(data, training=True), mode='loss')
    total, losses = model.parse_losses(losses)
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask'} <= set(losses)
    assert total.isfinite()
    total.backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)
    with torch.no_grad():
        found = model.eval().test_step(data)[0].pred_instances
    assert found.masks.shape[0] == found.bboxes.shape[0] == 5
    assert tuple(found.masks.shape[1:]) == (100, 128)
    assert found.labels.max() < 1203


@pytest.mark.parametrize(
    ('tower', 'data', 'side', 'epochs', 'beta', 'clip_temperature', 'background', 'test_cfg'),
    [
        ('eva02-b16', 'coco', 640, 3, 0.8, 75, 0.6, (0.01, 0.4, 100)),
        ('eva02-l14-336', 'coco', 896, 3, 0.8, 75, 0.6, (0.01, 0.4, 100)),
        ('eva02-b16', 'lvis', 1024, 48, 0.6, 50, 0.9, (0.0001, 0.5, 300)),
        ('eva02-l14-336', 'lvis', 896, 48, 0.4, 50, 0.9, (0.0001, 0.5, 300)),
        ('openai-b16', 'coco', 640, 3, 0.8, 75, 0.6, (0.01, 0.4, 100)),
        ('openai-l14-336', 'coco', 672, 3, 0.8, 75, 0.6, (0.01, 0.4, 100)),
        ('openai-b16', 'lvis', 640, 48, 0.6, 50, 0.9, (0.0001, 0.5, 300)),
        ('openai-l14-336', 'lvis', 672, 48, 0.4, 50, 0.9, (0.0001, 0.5, 300)),
    ],
)
def test_fvit_has_the_constants_of_the_release(
    tower, data, side, epochs, beta, clip_temperature, background, test_cfg
):
    name = f'fvit_{tower}_8xb8-{epochs}e_ov-{data}.py'
    config = Config.fromfile(ROOT / 'configs/fvit' / name)
    model, head = config.model, config.model.roi_head.bbox_head
    large = 'l14' in tower
    assert side % model.data_preprocessor.pad_size_divisor == 0
    assert config.test_pipeline[1].scale == config.train_pipeline[2].scale == (side, side)
    assert config.train_pipeline[3].crop_size == (side, side)
    assert model.backbone.out_indices == ((6, 10, 14, 23) if large else (3, 5, 7, 11))
    assert head.vocabulary == config.train_dataloader.dataset.vocabulary == f'ov_{data}'
    assert head.vocabulary == config.test_dataloader.dataset.vocabulary
    assert config.train_dataloader.dataset.base_only
    assert (head.alpha, head.beta) == (0.1, beta)
    assert (head.clip_temperature, head.background_weight) == (clip_temperature, background)
    assert head.cls_predictor_cfg.temperature == 50
    assert head.cls_predictor_cfg.learn_temperature
    rcnn = model.test_cfg.rcnn
    assert (rcnn.score_thr, rcnn.nms.iou_threshold, rcnn.max_per_img) == test_cfg
    assert model.train_cfg.rcnn.assigner.match_low_quality == (data == 'lvis')
    assert ('mask_head' in model.roi_head) == ('norm_cfg' in model.rpn_head) == (data == 'lvis')
    assert config.train_cfg.max_epochs == epochs
    steps = [item.milestones for item in config.param_scheduler if 'milestones' in item]
    assert steps == ([[32, 44]] if data == 'lvis' else [])


@pytest.mark.parametrize(
    ('data', 'classes', 'alpha'),
    [('coco', 80, 0.2), ('objects365v1', 365, 0.3), ('voc07', 20, 0.3)],
)
def test_transfer_has_the_constants_of_the_release(data, classes, alpha):
    name = f'fvit_eva02-l14-336_ov-lvis-to-{data}.py'
    config = Config.fromfile(ROOT / 'configs/transfer' / name)
    init_default_scope('mmdet')
    model = build_model(config)
    head = model.roi_head.bbox_head
    assert head.num_classes == classes
    assert head.fusion.shape == (classes + 1,)
    assert head.train_vocabulary.novel == ()
    assert (head.alpha, head.clip_temperature, head.fc_cls.temperature) == (alpha, 120, 50)
    assert not isinstance(head.fc_cls.temperature, torch.nn.Parameter)
    dataset = DATASETS.build({**config.test_dataloader.dataset, 'lazy_init': True})
    check_classes(model, model.classes, SimpleNamespace(dataset=dataset))


@pytest.mark.parametrize('path', FVIT, ids=name_of)
def test_tower_is_what_a_config_here_exports(path):
    checkpoint = Path(Config.fromfile(path).model.backbone.tower.checkpoint)
    if path.stem == 'own_data_template':
        assert str(checkpoint) in (ROOT / 'docs/data.md').read_text()
        return
    assert checkpoint.parts[0] == 'work_dirs'
    assert checkpoint.parts[2:] == ('tower', 'open_clip_model.safetensors')
    assert (ROOT / 'configs/clipself' / f'{checkpoint.parts[1]}.py').is_file()
    method = next((name for name in ('declip', 'values3') if name in path.name), 'clipself')
    assert checkpoint.parts[1].startswith(f'{method}_')
    assert ('_objects_' in path.name) == ('_objects_' in checkpoint.parts[1])


@pytest.mark.parametrize('scope', ['mmengine', 'mmdet', 'mmseg'])
def test_types_need_no_prefix_in_any_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        preprocessor = MODELS.build(dict(type='RegionPreprocessor', image_size=64))
        loss = MODELS.build(dict(type='CosineDistillLoss'))
    for item in (preprocessor, loss):
        assert type(item).__module__.startswith('clipself_mm.')


#: Hooks of every family's training, and one of the user.
EVERYWHERE = {
    'DurableCheckpointHook',
    'EmptyCacheHook',
    'FiniteLossHook',
    'InterruptHook',
    'ResumeHook',
    'StartCheckHook',
    'VocabularyCheckHook',
    'WorkDirLockHook',
}


@pytest.mark.parametrize(
    ('name', 'ours'),
    [
        ('clipself_tiny_patches_shapes-ov', {'WeightEnsembleHook'}),
        ('fvit_tiny_shapes-ov', {'SyncBNHook'}),
        ('cat-seg_tiny_shapes-ov', set()),
    ],
)
def test_custom_hooks_of_a_user_replace_none_of_ours(name, ours, tmp_path):
    own = tmp_path / 'own.py'
    base = ROOT / 'configs/shapes' / f'{name}.py'
    own.write_text(f'_base_ = {str(base)!r}\ncustom_hooks = [dict(type="EmptyCacheHook")]\n')
    config = Config.fromfile(own)
    config.work_dir = str(tmp_path)
    config.launcher = 'none'
    config.experiment_name = name  # scopes go by it, and two of one second share a name
    runner = Runner.from_cfg(config)
    assert {type(hook).__name__ for hook in runner.hooks} >= ours | EVERYWHERE


def test_a_second_weight_ensemble_is_refused(tmp_path):
    config = Config.fromfile(ROOT / 'configs/shapes/clipself_tiny_patches_shapes-ov.py')
    config.custom_hooks = [dict(type='WeightEnsembleHook', alpha=0.5)]
    config.work_dir = str(tmp_path)
    runner = Runner.from_cfg(config)
    hook = next(hook for hook in runner.hooks if isinstance(hook, WeightEnsembleHook))
    with pytest.raises(ValueError, match=r'default_hooks\.weight_ensemble'):
        hook.before_train(runner)


def test_two_best_towers_are_refused_before_training(tmp_path):
    config = Config.fromfile(ROOT / 'configs/shapes/clipself_tiny_patches_shapes-ov.py')
    config.default_hooks.checkpoint.save_best = ['region/boxes/top1', 'region/boxes/top5']
    config.work_dir = str(tmp_path)
    config.experiment_name = 'two best towers'
    runner = Runner.from_cfg(config)
    hook = next(hook for hook in runner.hooks if isinstance(hook, WeightEnsembleHook))
    with pytest.raises(ValueError, match=r"one best tower.*boxes/top1', 'region/boxes/top5"):
        hook.before_train(runner)


@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_config_opens_as_a_document(path):
    config = Config.fromfile(path)
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, f'{path.name} has no docstring'
    trains = config.get('train_dataloader') is not None
    tools = ('train.py', 'dist_train.sh') if trains else ('test.py',)
    assert any(f'tools/{tool}' in text for tool in tools)
    assert path.stem in text
    assert config.auto_scale_lr.base_batch_size > 0


@pytest.mark.parametrize('path', [p for p in CONFIGS if '8xb' in p.name], ids=name_of)
def test_base_batch_size_is_that_of_the_name(path):
    config = Config.fromfile(path)
    per_gpu = int(re.search(r'_8xb(\d+)-', path.name)[1])
    assert config.train_dataloader.batch_size == per_gpu
    assert config.auto_scale_lr.base_batch_size == 8 * per_gpu


OTHERS = ('DATA_SAMPLERS', 'PARAM_SCHEDULERS', 'OPTIM_WRAPPER_CONSTRUCTORS')


def test_no_name_of_ours_is_taken_by_an_mm_package():
    import mmdet.registry
    import mmengine.registry
    import mmseg.registry

    ours, taken = 0, {}
    for kind in ('MODELS', 'DATASETS', 'TRANSFORMS', 'METRICS', 'HOOKS', 'TASK_UTILS', *OTHERS):
        for name, item in getattr(mmengine.registry, kind).module_dict.items():
            if not item.__module__.startswith(clipself_mm.__name__):
                continue
            ours += 1
            for package in (mmdet, mmseg):
                other = getattr(package.registry, kind).module_dict.get(name)
                if other is not None:
                    taken[name] = other
    assert ours > 10
    assert taken == {}
