"""Every config builds: model (weights on the meta device), data, optimisation, hooks."""

import ast
import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
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

import clipself_mm

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)


def name_of(path):
    return str(path.relative_to(ROOT / 'configs'))


def test_configs_are_found():
    folders = {path.parent.name for path in CONFIGS}
    assert {'clipself', 'region_eval', 'shapes'} <= folders


@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_config_builds(path):
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    model_config = copy.deepcopy(config.model)
    if not model_config.tower.model.startswith('pkg:'):
        model_config.tower.checkpoint = None
    with torch.device('meta' if model_config.tower.get('checkpoint', 1) is None else 'cpu'):
        model = MODELS.build(model_config)
    for split in ('train', 'val', 'test'):
        loader = config.get(f'{split}_dataloader')
        if loader is not None:
            dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
            assert dataset.pipeline.transforms
            assert loader.sampler.type in DATA_SAMPLERS
        if config.get(f'{split}_evaluator') is not None:
            METRICS.build(config[f'{split}_evaluator'])
    for hook in config.get('custom_hooks', []):
        HOOKS.build(hook)
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
        off_path = {id(p) for p in model.student.parameters_off_value_path(blocks[-1])}
        assert trained == of_blocks - off_path
        for scheduler in config.param_scheduler:
            built = dict(scheduler)
            if built.pop('convert_to_iter_based', False):
                kind = PARAM_SCHEDULERS.get(built.pop('type'))
                kind.build_iter_from_epoch(optimizer=optimizer, epoch_length=2000, **built)
            else:
                PARAM_SCHEDULERS.build({**built, 'optimizer': optimizer})


@pytest.mark.parametrize('scope', ['mmengine', 'mmdet', 'mmseg'])
def test_types_need_no_prefix_in_any_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        preprocessor = MODELS.build(dict(type='RegionPreprocessor', image_size=64))
        loss = MODELS.build(dict(type='CosineDistillLoss'))
    for item in (preprocessor, loss):
        assert type(item).__module__.startswith('clipself_mm.')


@pytest.mark.parametrize('path', CONFIGS, ids=name_of)
def test_config_opens_as_a_document(path):
    config = Config.fromfile(path)
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text, f'{path.name} has no docstring'
    assert f'tools/{"train" if "train_dataloader" in config else "test"}.py' in text or (
        'tools/dist_train.sh' in text
    )
    assert path.stem in text
    assert config.auto_scale_lr.base_batch_size > 0


@pytest.mark.parametrize('path', [p for p in CONFIGS if '8xb2' in p.name], ids=name_of)
def test_base_batch_size_is_that_of_the_name(path):
    config = Config.fromfile(path)
    assert config.auto_scale_lr.base_batch_size == 8 * config.train_dataloader.batch_size


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
