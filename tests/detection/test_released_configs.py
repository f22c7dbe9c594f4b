"""Configs of released detectors become this package's; what is not known is listed."""

import copy
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

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
    assert config.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-4)


def test_everything_unknown_is_listed_and_nothing_written(fvlm, tmp_path):
    theirs = copy.deepcopy(fvlm['theirs'])
    theirs['model']['roi_head']['bbox_head'] |= dict(word_dim=5, num_classes=65)
    theirs['model']['backbone']['text_encoder'] = 'large'
    theirs['model']['backbone']['model_name'] = 'ViT-B-17'
    theirs['train_dataloader'] = dict(dataset=dict(type='CocoCaptionOVDDataset'))
    theirs['data'] = dict(samples_per_gpu=2)
    Config(theirs).dump(tmp_path / 'theirs.py')
    with pytest.raises(ValueError, match=r'theirs\.py: not converted') as raised:
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


def test_authors_transfer_head_and_eva_names(fvlm):
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
    head |= dict(all_classes='coco.json', class_embed='coco.pt', learned_temperature=0.0)
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
