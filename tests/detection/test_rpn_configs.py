"""Configs of region proposal networks: build, train on base boxes only, predict."""

import copy
import json
from pathlib import Path

import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS, METRICS, MODELS, DefaultScope
from mmengine.structures import InstanceData

from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.proposals.conversion import ProposalSelection, convert_proposals
from tests.config_files import write_data

CONFIGS = Path(__file__).parents[2] / 'configs'
TRAINED = [
    'rpn/rpn_r50-fpn_8xb2-1x_ov-coco',
    'rpn/rpn_eva02-b16_8xb8-3e_ov-coco',
    'shapes/rpn_tiny-frozen_shapes-ov',
]
PROPOSING = [f'{name}_proposals' for name in TRAINED]


@pytest.fixture(autouse=True)
def scope(elsewhere):
    """mmdet's, as the runner sets it."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def read(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def build(config):
    """The model with random weights, smaller where that changes no shape of the heads."""
    model = copy.deepcopy(config.model)
    if 'tower' in model.backbone and not model.backbone.tower.model.startswith('pkg:'):
        model.backbone.tower.checkpoint = None
    model.train_cfg.rpn.sampler.num = 16
    model.test_cfg.rpn.max_per_img = 7
    torch.manual_seed(0)
    return MODELS.build(model)


def test_every_config_of_the_folder_is_tested():
    assert {f'rpn/{path.stem}' for path in (CONFIGS / 'rpn').glob('*.py')} == {
        name for name in (*TRAINED, *PROPOSING) if name.startswith('rpn/')
    }


@pytest.mark.slow
@pytest.mark.parametrize('name', TRAINED)
def test_trains_what_is_not_frozen_and_proposes(name):
    model = build(read(name))
    data = demo_mm_inputs(1, [[3, 100, 128]], num_items=[2], num_classes=3)
    losses = model.train()(**model.data_preprocessor(data, training=True), mode='loss')
    total, losses = model.parse_losses(losses)
    assert set(losses) == {'loss', 'loss_rpn_cls', 'loss_rpn_bbox'}
    assert total.isfinite()
    total.backward()
    trained = {key for key, value in model.named_parameters() if value.requires_grad}
    reached = {key for key, value in model.named_parameters() if value.grad is not None}
    assert reached == trained
    assert any(key.startswith('backbone.') for key in trained)
    assert not any(key.startswith('backbone.tower.') for key in trained)
    with torch.no_grad():
        found = model.eval().test_step(data)[0].pred_instances
    assert 0 < len(found) <= 7
    assert found.bboxes.min() >= 0
    assert (found.bboxes.max(dim=0).values <= torch.tensor([128, 100, 128, 100])).all()
    assert found.scores.diff().max() <= 0


def dataset_of(config, split):
    dataset = config[f'{split}_dataloader'].dataset
    write_data(dataset)
    return dataset


def add_novel_box(dataset):
    """A second box, of a novel class, beside the base box of `write_data`."""
    path = Path(dataset.data_root) / dataset.ann_file
    content = json.loads(path.read_text())
    novel = load_vocabulary(dataset.vocabulary).novel[0]
    (category,) = [entry['id'] for entry in content['categories'] if entry['name'] == novel]
    box = dict(id=2, category_id=category, bbox=[30, 5, 10, 10], area=100)
    content['annotations'].append(dict(content['annotations'][0], **box))
    path.write_text(json.dumps(content))


@pytest.mark.parametrize('name', [*TRAINED, *PROPOSING])
def test_training_sees_base_boxes_alone(name):
    dataset = dataset_of(read(name), 'train')
    add_novel_box(dataset)
    (sample,) = DATASETS.build(dataset)
    assert len(sample['data_samples'].gt_instances) == 1


@pytest.mark.parametrize('name', TRAINED)
def test_validation_counts_novel_boxes_apart(name):
    config = read(name)
    assert config.val_dataloader == config.test_dataloader
    assert config.val_evaluator == config.test_evaluator
    dataset = dataset_of(config, 'val')
    add_novel_box(dataset)
    built = DATASETS.build(dataset)
    (sample,) = [built[0]['data_samples']]
    assert len(sample.gt_instances) == 2
    judge = Evaluator([METRICS.build(config.val_evaluator)])
    judge.dataset_meta = built.metainfo
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 30, 26]]),
        scores=torch.tensor([0.9]),
        labels=torch.tensor([0]),
    )
    judge.process([sample])
    numbers = judge.evaluate(1)
    assert numbers['proposals/base_ar100'] == 1
    assert numbers['proposals/novel_ar100'] == 0
    assert numbers['proposals/all_ar100'] == 0.5
    best = config.default_hooks.checkpoint.save_best
    assert best in numbers
    assert 'novel' not in best


@pytest.mark.parametrize(('name', 'trained'), list(zip(PROPOSING, TRAINED, strict=True)))
def test_proposes_on_every_training_image_as_it_is(name, trained):
    config = read(name)
    train, test = config.train_dataloader.dataset, config.test_dataloader.dataset
    for key in ('data_root', 'ann_file', 'data_prefix', 'vocabulary', 'base_only'):
        assert test[key] == train[key]
    steps = {step.type for step in test.pipeline}
    assert steps == {'LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackDetInputs'}
    assert config.model.backbone == read(trained).model.backbone
    dataset_of(config, 'test')
    path = Path(test.data_root) / test.ann_file
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(content, annotations=[])))  # no box: still proposed on
    assert len(DATASETS.build(test)) == 1


@pytest.mark.parametrize('name', PROPOSING)
def test_pickle_and_json_hold_the_same(name):
    """The evaluator's json equals the converted pickle of mmdet."""
    config = read(name)
    built = DATASETS.build(dataset_of(config, 'test'))
    sample = built[0]['data_samples']
    boxes = torch.rand(40, 4, generator=torch.Generator().manual_seed(0)) * 20
    boxes[:, 2:] += boxes[:, :2] + 1
    scores = torch.linspace(0.99, 0.01, 40)
    sample.pred_instances = InstanceData(bboxes=boxes, scores=scores, labels=torch.zeros(40))
    judge = Evaluator(config.test_evaluator)
    judge.dataset_meta = built.metainfo
    judge.process([sample])
    assert judge.evaluate(1) == {'proposals/per_image': 20}
    dump, writer = config.test_evaluator
    convert_proposals(
        f'{dump.output_dir}/{dump.proposals_file}',
        built.ann_file,
        'converted.json',
        ProposalSelection(writer.score_thr, max_per_img=writer.max_per_img),
    )
    written = json.loads(Path(writer.out_file).read_text())
    assert json.loads(Path('converted.json').read_text()) == written
    assert len(written['annotations']) == 20


def test_the_tower_configs_are_fvit_without_the_second_stage():
    for name, base in (
        ('rpn/rpn_eva02-b16_8xb8-3e_ov-coco', 'fvit/fvit_eva02-b16_8xb8-3e_ov-coco'),
        ('shapes/rpn_tiny-frozen_shapes-ov', 'shapes/fvit_tiny_shapes-ov'),
    ):
        ours, theirs = read(name), read(base)
        if name.startswith('rpn/'):  # on the tower as published
            theirs.model.backbone.tower.checkpoint = ours.model.backbone.tower.checkpoint
        for part in ('data_preprocessor', 'backbone', 'neck', 'rpn_head'):
            assert ours.model[part] == theirs.model[part]
        assert ours.model.train_cfg.rpn == theirs.model.train_cfg.rpn
        for part in ('train_dataloader', 'val_dataloader', 'optim_wrapper', 'param_scheduler'):
            assert ours[part] == theirs[part]
        assert ours.train_cfg == theirs.train_cfg


def test_a_checkpoint_of_fvit_proposes_too():
    """Backbone, neck and RPN load; only keys of the second stage are unexpected."""
    fvit = MODELS.build(read('shapes/fvit_tiny_shapes-ov').model)
    for value in fvit.parameters():
        torch.nn.init.constant_(value, 0.25)
    model = MODELS.build(read('shapes/rpn_tiny-frozen_shapes-ov_proposals').model)
    left = model.load_state_dict(fvit.state_dict(), strict=False)
    assert left.missing_keys == []
    assert left.unexpected_keys
    assert all(key.startswith('roi_head.') for key in left.unexpected_keys)
    assert all((value == 0.25).all() for value in model.parameters())
