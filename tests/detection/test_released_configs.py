"""Configs of released detectors become this package's; what is not known is listed."""

import copy
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, METRICS

from clipself_mm.detection.released_configs import convert_config, renamed_config
from tests.detection.released_twin import (
    BN,
    CLASSES,
    build_detector,
    detections,
    model_config,
    write_embeddings,
    write_vocabulary,
)

TOOL = Path(__file__).parents[2] / 'tools/convert_detector.py'


@pytest.fixture
def fvlm(micro_clip, tmp_path):
    """A detector of this package, and what CLIM's config of it would say."""
    vocabulary = write_vocabulary(tmp_path)
    ours = model_config(
        dict(type='CLIPTower', model=micro_clip, checkpoint=None),
        width=32,
        dim=16,
        patch=8,
        out_indices=(0, 1, 2, 2),
        vocabulary=vocabulary,
        embeddings=write_embeddings(tmp_path, 16)[0],
        lvis=True,
    )
    head = ours['roi_head']['bbox_head']
    head['cls_predictor_cfg'] |= dict(
        background='learned', temperature=40.0, learn_temperature=True
    )
    head |= dict(alpha=0.2, beta=0.5, clip_temperature=60.0, background_weight=0.6)
    head['loss_cls'] |= dict(use_sigmoid=False, loss_weight=2.0)

    theirs = copy.deepcopy(ours)
    theirs['type'] = 'FVLM'
    theirs['backbone'] = dict(
        type='CLIPViT',
        model_name=micro_clip,
        pretrained='openai',
        cache_dir='checkpoints',
        out_indices=(0, 1, 2, 2),
        norm_cfg=BN,
    )
    theirs['rpn_head']['type'] = 'CustomRPNHead'
    roi_head = theirs['roi_head']
    roi_head['type'] = 'FVLMStandardRoIHead'
    roi_head['vlm_roi_extractor'] = roi_head.pop('clip_roi_extractor')
    head = roi_head['bbox_head']
    head['type'] = 'FVLMConvFCBBoxHead'
    head['cls_embeddings_path'] = head.pop('cls_predictor_cfg')['embeddings']
    head['cls_temp'] = 40.0
    head['vlm_temperature'] = head.pop('clip_temperature')
    head['loss_cls'] |= dict(
        type='CustomCrossEntropyLoss', class_weight=[1, 0, 1, 1, head.pop('background_weight')]
    )
    head['num_classes'] = 4
    del head['vocabulary']
    return dict(
        ours=ours,
        theirs=dict(
            model=theirs,
            custom_imports=dict(imports=['ovdet_that_is_not_installed']),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', save_best='Novel/bbox_mAP_50')
            ),
            train_pipeline=[dict(type='LoadImageFromFile'), dict(type='PackDetInputs')],
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4)),
        ),
        vocabulary=vocabulary,
    )


NAMES = [*reversed(CLASSES)]
"""The categories of the files in another order than the vocabulary's."""


def write_boxes(path, names):
    """Two images, each with one box of every named class; ids 1.. in the order of `NAMES`."""
    boxes = [
        dict(image_id=image, category_id=NAMES.index(name) + 1, bbox=[8 * i, 0, 8, 4], area=32)
        for image in (1, 2)
        for i, name in enumerate(names)
    ]
    for i, box in enumerate(boxes):
        box |= dict(id=i + 1, iscrowd=0)
    images = [dict(id=i, file_name=f'{i}.png', width=64, height=32) for i in (1, 2)]
    categories = [dict(id=i, name=name) for i, name in enumerate(NAMES, start=1)]
    path.write_text(json.dumps(dict(images=images, annotations=boxes, categories=categories)))
    return str(path)


@pytest.fixture
def data(tmp_path):
    """Data sections as CLIM's layout has them: one metric a split, each with its own file."""
    files = {
        name: write_boxes(tmp_path / f'{name}.json', names)
        for name, names in dict(
            all=NAMES, base=[name for name in NAMES if name != 'cross'], novel=['cross']
        ).items()
    }
    dataset = dict(type='CocoDataset', data_root=f'{tmp_path}/', ann_file='all.json', pipeline=[])
    dataset['data_prefix'] = dict(img='')
    return dict(
        train_dataloader=dict(batch_size=2, dataset=copy.deepcopy(dataset)),
        val_dataloader=dict(
            dataset=dict(dataset, test_mode=True, metainfo=dict(classes=[*NAMES], era=1))
        ),
        val_evaluator=[
            dict(type='CocoMetric', prefix='Base', ann_file=files['base'], metric='bbox'),
            dict(type='CocoMetric', prefix='Novel', ann_file=files['novel'], metric='bbox'),
        ],
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', save_best=['Base/bbox_mAP_50', 'Novel/bbox_mAP_50']
            )
        ),
    )


def problems_of(content, vocabulary):
    """The lines by what they are about."""
    lines = renamed_config(content, vocabulary)[1]
    return {line.partition(':')[0]: line.partition(': ')[2] for line in lines}


def test_coco_data_become_the_vocabularys(fvlm, data, tmp_path):
    before = copy.deepcopy(data)
    content, problems = renamed_config(data, fvlm['vocabulary'])
    assert problems == []
    assert data == before
    assert content['train_dataloader'] == dict(
        batch_size=2,
        dataset=dict(
            type='OpenVocabCocoDataset',
            vocabulary=fvlm['vocabulary'],
            base_only=True,
            data_root=f'{tmp_path}/',
            ann_file='all.json',
            pipeline=[],
            data_prefix=dict(img=''),
        ),
    )
    train = DATASETS.build(content['train_dataloader']['dataset'])
    labels = [item['bbox_label'] for item in train.load_data_list()[0]['instances']]
    assert labels == [3, 2, 0]  # ring, star, disc; cross is novel
    val = DATASETS.build(content['val_dataloader']['dataset'])
    assert val.metainfo['classes'] == CLASSES
    assert val.metainfo['era'] == 1
    labels = [item['bbox_label'] for item in val.load_data_list()[0]['instances']]
    assert labels == [3, 2, 1, 0]

    assert content['val_evaluator'] == dict(
        type='OpenVocabCocoMetric', ann_file=f'{tmp_path}/all.json', metric='bbox'
    )
    metric = METRICS.build(content['val_evaluator'])
    metric.dataset_meta = val.metainfo
    for image in (1, 2):  # only the cross is found, third in the file
        found = dict(bboxes=np.array([[16, 0, 24, 4.0]]), scores=np.ones(1), labels=np.ones(1, int))
        metric.results.append((dict(), dict(found, img_id=image)))
    numbers = metric.evaluate(size=2)
    hook = HOOKS.build(content['default_hooks']['checkpoint'])
    assert [round(numbers[key], 6) for key in hook.key_indicators] == [0, 1]


def test_data_sets_in_wrappers(fvlm, data):
    dataset = data['train_dataloader']['dataset']
    caption = dict(type='CocoCaptionOVDDataset', ann_file='captions.json')
    lvis = dict(dataset, type='mmdet.LVISV1Dataset')
    repeated = dict(type='RepeatDataset', times=2, dataset=lvis)
    data['train_dataloader']['dataset'] = dict(type='ConcatDataset', datasets=[repeated])
    content, problems = renamed_config(data, fvlm['vocabulary'])
    assert problems == []
    new = content['train_dataloader']['dataset']['datasets'][0]['dataset']
    assert (new['type'], new['base_only']) == ('OpenVocabCocoDataset', True)
    assert renamed_config(content, fvlm['vocabulary']) == (content, [])  # ours stays as it is

    data['train_dataloader']['dataset']['datasets'].append(caption)
    problems = problems_of(data, fvlm['vocabulary'])
    assert list(problems) == ['train_dataloader.dataset.datasets.1.type']
    assert 'OpenVocabCocoDataset' in problems.popitem()[1]


def test_data_that_would_mean_something_else_is_listed(fvlm, data):
    data['train_dataloader']['dataset'] |= dict(type='VOCDataset')
    data['val_dataloader']['dataset'] |= dict(
        metainfo=dict(classes=['disc', 'cross', 'star', 'hexagon']), ann_fil='x.json'
    )
    data['val_evaluator'] = dict(type='CocoMetric', ann_file='all.json')
    data['test_evaluator'] = [dict(type='LVISMetric', ann_file='a'), dict(type='TheirMetric')]
    data['default_hooks']['checkpoint']['save_best'] = 'coco/bbox_mAP_50'
    problems = problems_of(data, fvlm['vocabulary'])
    assert "'VOCDataset'" in problems.pop('train_dataloader.dataset.type')
    assert "['hexagon', 'ring']" in problems.pop('val_dataloader.dataset.metainfo.classes')
    assert 'CocoDataset' in problems.pop('val_dataloader.dataset.ann_fil')
    assert 'OpenVocabCocoMetric' in problems.pop('val_evaluator')
    assert "['LVISMetric', 'TheirMetric']" in problems.pop('test_evaluator')
    assert 'coco/novel_ap50' in problems.pop('default_hooks.checkpoint.save_best')
    assert problems == {}


def test_pair_of_metrics_that_no_single_one_replaces_is_listed(fvlm, data):
    base, novel = data['val_evaluator']
    data['val_dataloader']['dataset']['ann_file'] = 'base.json'  # which lacks the novel boxes
    assert 'one json of all classes' in problems_of(data, fvlm['vocabulary'])['val_evaluator']
    novel['ann_file'] = base['ann_file'] = 'both.json'
    content, problems = renamed_config(data, fvlm['vocabulary'])
    assert problems == []
    assert content['val_evaluator']['ann_file'] == 'both.json'
    novel['classwise'] = True
    assert 'write the same' in problems_of(data, fvlm['vocabulary'])['val_evaluator']
    base['classwise'] = True
    base['iou_thrs'] = novel['iou_thrs'] = [0.5]
    assert list(problems_of(data, fvlm['vocabulary'])) == ['val_evaluator.iou_thrs']


def test_vocabulary_without_a_split_has_no_novel_numbers(data, tmp_path):
    path = tmp_path / 'plain.json'
    path.write_text(json.dumps(dict(classes=CLASSES)))
    assert problems_of(data, str(path)) == {
        'val_evaluator': f'Base and Novel, but {path} has no split',
        'default_hooks.checkpoint.save_best.0': f"'Base/bbox_mAP_50', but {path} has no split",
        'default_hooks.checkpoint.save_best.1': f"'Novel/bbox_mAP_50', but {path} has no split",
    }
    data['default_hooks']['checkpoint']['save_best'] = 'all_ap50'
    data['val_evaluator'] = dict(type='OpenVocabCocoMetric', ann_file='all.json')
    content, problems = renamed_config(data, str(path))
    assert problems == []
    assert 'base_only' not in content['train_dataloader']['dataset']
    assert content['default_hooks']['checkpoint'] == dict(
        type='CheckpointHook', save_best='coco/all_ap50', rule='greater'
    )


HEAD = 'model.roi_head.bbox_head'


@pytest.mark.parametrize(
    ('given', 'where', 'what'),
    [
        (dict(class_weight=[1, 1, 0, 1, 0.6]), '.loss_cls.class_weight', 'cross 1 instead of 0.0'),
        (dict(class_weight=[1, 0, 1, 0.6]), '.loss_cls.class_weight', '4 weights'),
        (
            dict(class_weight=[1, 0, 1, 1, 0.6], bg_weight=0.2),
            '.loss_cls.class_weight',
            'background 0.6 instead of 0.2',
        ),
        (dict(seen_classes=['disc', 'star']), '.seen_classes', "['ring']"),
        (dict(all_classes=['disc', 'cross', 'star']), '.all_classes', "['ring']"),
        (dict(all_classes=NAMES), '.all_classes', 'not in the order'),
        (dict(all_classes='nowhere.json'), '.all_classes', 'nowhere.json'),
        (dict(seen_classes=3), '.seen_classes', 'int'),
    ],
)
def test_split_of_the_head_that_is_not_the_vocabularys_is_listed(fvlm, given, where, what):
    head = fvlm['theirs']['model']['roi_head']['bbox_head']
    fvlm['theirs']['model']['backbone']['pretrained'] = None
    for key, value in given.items():
        (head if key.endswith('classes') else head['loss_cls'])[key] = value
    problems = problems_of(fvlm['theirs'], fvlm['vocabulary'])
    assert list(problems) == [f'{HEAD}{where}']
    assert what in problems.popitem()[1]


def test_zero_weights_need_a_vocabulary_with_that_split(fvlm, tmp_path):
    fvlm['theirs']['model']['backbone']['pretrained'] = None
    del fvlm['theirs']['default_hooks']
    path = tmp_path / 'plain.json'
    path.write_text(json.dumps(dict(classes=CLASSES)))
    problems = problems_of(fvlm['theirs'], str(path))
    assert list(problems) == [f'{HEAD}.loss_cls.class_weight']
    assert 'cross 0 instead of 1.0' in problems.popitem()[1]


def test_clim_config_builds_the_same_detector(fvlm, tmp_path):
    fvlm['theirs']['model']['backbone']['pretrained'] = None
    Config(fvlm['theirs']).dump(tmp_path / 'base.py')
    (tmp_path / 'theirs.py').write_text("_base_ = ['base.py']\nmodel = dict(train_cfg=None)\n")
    convert_config(tmp_path / 'theirs.py', tmp_path / 'ours.py', fvlm['vocabulary'])
    config = Config.fromfile(tmp_path / 'ours.py')
    model = config.model.to_dict()
    assert model == fvlm['ours'] | dict(train_cfg=None)
    assert config.custom_imports.imports == ['clipself_mm']
    assert config.default_hooks.checkpoint.save_best == 'coco/novel_ap50'
    assert HOOKS.build(config.default_hooks.checkpoint).rules == ['greater']
    assert config.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-4)


def test_everything_unknown_is_listed_and_nothing_written(fvlm, tmp_path):
    theirs = copy.deepcopy(fvlm['theirs'])
    theirs['model']['roi_head']['bbox_head'] |= dict(word_dim=5, num_classes=65)
    theirs['model']['backbone']['text_encoder'] = 'large'
    theirs['model']['backbone']['model_name'] = 'ViT-B-17'
    theirs['train_dataloader'] = dict(dataset=dict(type='CocoCaptionOVDDataset'))
    theirs['data'] = dict(samples_per_gpu=2)
    Config(theirs).dump(tmp_path / 'theirs.py')
    with pytest.raises(ValueError, match=r'theirs\.py') as raised:
        convert_config(tmp_path / 'theirs.py', tmp_path / 'ours.py', fvlm['vocabulary'])
    lines = [line.strip() for line in str(raised.value).splitlines()[1:]]
    assert {line.partition(':')[0] for line in lines} == {
        'model.roi_head.bbox_head.word_dim',
        'model.roi_head.bbox_head.num_classes',
        'model.backbone.text_encoder',
        'model.backbone.model_name',
        'model.backbone.pretrained',
        'train_dataloader.dataset.type',
        'data',
    }
    assert not (tmp_path / 'ours.py').exists()


def test_authors_transfer_head_and_eva_names(fvlm, tmp_path):
    theirs = copy.deepcopy(fvlm['theirs']['model']) | dict(type='FViT', pretrained=None)
    theirs['backbone'] = dict(
        type='EvaCLIPViT',
        model_name='EVA02-CLIP-L-14-336',
        pretrained='checkpoints/eva.pt',
        out_indices=[6, 10, 14, 23],
        norm_cfg=BN,
    )
    theirs['roi_head']['type'] = 'FViTRoIHead'
    head = theirs['roi_head']['bbox_head']
    head |= dict(type='FViTTransferBBoxHead', alpha=0.3, fixed_temperature=50.0)
    (tmp_path / 'all.json').write_text(json.dumps(CLASSES))
    head |= dict(all_classes=str(tmp_path / 'all.json'), seen_classes=['ring', 'disc', 'star'])
    head |= dict(class_embed='coco.pt', learned_temperature=0.0)
    for key in ('beta', 'cls_temp', 'cls_embeddings_path'):
        del head[key]
    content, problems = renamed_config(dict(model=theirs), fvlm['vocabulary'])
    assert problems == []
    model = content['model']
    assert 'pretrained' not in model
    assert model['backbone']['tower'] == dict(
        type='CLIPTower', model='EVA02-L-14-336', checkpoint='checkpoints/eva.pt'
    )
    assert model['backbone']['out_indices'] == [6, 10, 14, 23]
    head = model['roi_head']['bbox_head']
    assert head['alpha'] == head['beta'] == 0.3
    assert head['cls_predictor_cfg'] == dict(
        type='TextClassifier',
        background='text',
        temperature=50.0,
        learn_temperature=False,
        embeddings='coco.pt',
    )
    del theirs['backbone']['out_indices']
    assert renamed_config(dict(model=theirs), fvlm['vocabulary'])[1] == [
        'model.backbone.out_indices: not given; the default is for 12 blocks'
    ]


@pytest.mark.parametrize('name', ['ViT-B-16', 'ViT-B-16-quickgelu'])
def test_openai_weights_are_of_the_quickgelu_models_and_need_a_file(fvlm, name):
    theirs = dict(model=copy.deepcopy(fvlm['theirs']['model']))
    theirs['model']['backbone']['model_name'] = name
    content, problems = renamed_config(theirs, fvlm['vocabulary'], tower='openai.safetensors')
    assert problems == []
    assert content['model']['backbone']['tower'] == dict(
        type='CLIPTower', model='ViT-B-16-quickgelu', checkpoint='openai.safetensors'
    )
    assert renamed_config(theirs, fvlm['vocabulary'])[1] == [
        "model.backbone.pretrained: 'openai' is no file; say where the weights are (--tower)"
    ]


def test_tool(fvlm, tmp_path, monkeypatch):
    theirs = copy.deepcopy(fvlm['theirs'])
    theirs['model']['backbone']['pretrained'] = None
    Config(theirs).dump(tmp_path / 'theirs.py')
    target = tmp_path / 'ours.py'
    arguments = [str(TOOL), str(tmp_path / 'theirs.py'), str(target)]
    monkeypatch.setattr(sys, 'argv', arguments)
    with pytest.raises(SystemExit, match='--vocabulary'):
        runpy.run_path(str(TOOL), run_name='__main__')
    monkeypatch.setattr(sys, 'argv', [*arguments, '--vocabulary', fvlm['vocabulary']])
    runpy.run_path(str(TOOL), run_name='__main__')
    model = build_detector(Config.fromfile(target).model.to_dict(), seed=1)
    assert model.classes == CLASSES
    assert len(detections(model)[0]) == 20


def test_child_config_mends_what_is_listed(data, fvlm, tmp_path):
    data['val_dataloader']['dataset']['ann_file'] = 'base.json'
    Config(data).dump(tmp_path / 'theirs.py')
    arguments = (tmp_path / 'ours.py', fvlm['vocabulary'])
    with pytest.raises(
        ValueError, match=r'val_evaluator.*base\.json.*novel\.json.*OpenVocabCocoMetric'
    ):
        convert_config(tmp_path / 'theirs.py', *arguments)
    metric = "dict(_delete_=True, type='OpenVocabCocoMetric', ann_file='all.json')"
    (tmp_path / 'mine.py').write_text(f"_base_ = 'theirs.py'\nval_evaluator = {metric}\n")
    convert_config(tmp_path / 'mine.py', *arguments)
    assert Config.fromfile(tmp_path / 'ours.py').val_evaluator == dict(
        type='OpenVocabCocoMetric', ann_file='all.json'
    )
