"""Box head, text classifier and score fusion against the release's heads."""

import json

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.detection import FViTBBoxHead
from tests.parity.fixtures import GoldenFile

pytestmark = pytest.mark.parity

DEAD = {'fc_cls.weight', 'fc_cls.bias'}  # built and never used by the release
RENAMED = {
    'detect_temperature': 'fc_cls.temperature',
    'bg_embedding': 'fc_cls.background',
}


def build_head(golden, case, folder):
    init_default_scope('mmdet')
    config, setting = golden.config, golden.config[case]
    names, seen = golden.inputs['all_names'].tolist(), golden.inputs['seen_names'].tolist()
    classes = names[:-1]
    split = (
        {}
        if case == 'T'
        else dict(
            base=[name for name in classes if name in seen],
            novel=[name for name in classes if name not in seen],
        )
    )
    vocabulary = folder / f'words_{case}.json'
    vocabulary.write_text(json.dumps(dict(classes=classes, **split)))
    embeddings = folder / f'{case}.pt'
    save_class_embeddings(embeddings, names, torch.from_numpy(golden.inputs['class_embed']))
    learned = 'learned_temperature' in setting
    head = FViTBBoxHead(
        vocabulary=str(vocabulary),
        alpha=setting['alpha'],
        beta=setting.get('beta', 0.0),
        clip_temperature=setting['vlm_temperature'],
        cls_predictor_cfg=dict(
            type='TextClassifier',
            embeddings=str(embeddings),
            background='learned' if setting.get('learn_bg') else 'text',
            temperature=setting['learned_temperature' if learned else 'fixed_temperature'],
            learn_temperature=learned,
        ),
        in_channels=config['in_channels'],
        conv_out_channels=config['conv_out_channels'],
        fc_out_channels=config['fc_out_channels'],
        roi_feat_size=config['roi_feat_size'],
        num_shared_convs=config['num_shared_convs'],
        num_shared_fcs=config['num_shared_fcs'],
        num_cls_fcs=config['num_cls_fcs'],
        num_reg_fcs=config['num_reg_fcs'],
        reg_class_agnostic=config['reg_class_agnostic'],
        norm_cfg=None if setting['norm'] is None else dict(type=setting['norm']),
    )
    weights = {
        RENAMED.get(name, name): torch.from_numpy(value)
        for key, value in golden.weights.items()
        if key.startswith(f'{case}.')
        for name in [key.removeprefix(f'{case}.')]
        if name not in DEAD
    }
    if 'fc_cls.background' in weights:
        weights['fc_cls.background'] = weights['fc_cls.background'].flatten()
    head.load_state_dict(weights)
    return head


def test_scores_boxes_and_gradients(tmp_path):
    golden = GoldenFile('fvit_bbox_head')
    features = torch.from_numpy(golden.inputs['roi_feats'])
    clip_features = torch.from_numpy(golden.inputs['vlm_box_feats'])
    golden.config['T'].setdefault('norm', 'BN')
    for case in ('A', 'B', 'T'):
        head = build_head(golden, case, tmp_path).eval()
        with torch.no_grad():
            logits, deltas = head(features)
            fused = head.probabilities(head.join_clip(logits, clip_features))
        golden.check(f'{case}.eval.cls_score', fused, tolerance=2e-5)
        golden.check(f'{case}.eval.bbox_pred', deltas)
        golden.check(f'{case}.all_embed', head.fc_cls.table().T)
        beta = head.fusion != head.alpha
        golden.check(f'{case}.novel_idx', beta)
        golden.check(f'{case}.base_idx', ~beta)
        if case == 'T':
            continue
        golden.check(f'{case}.eval_no_vlm.cls_score', logits)
        golden.check(f'{case}.eval_no_vlm.bbox_pred', deltas)
        logits, deltas = head.train()(features)
        golden.check(f'{case}.train.cls_score', logits)
        golden.check(f'{case}.train.bbox_pred', deltas)
        if case == 'A':
            slope = torch.linspace(-1, 1, logits.numel()).view_as(logits)
            ((logits * slope).sum() + deltas.sum()).backward()
            golden.check('A.grad.detect_temperature', head.fc_cls.temperature.grad)
            golden.check('A.grad.cls_fcs.0.weight', head.cls_fcs[0].weight.grad)
            assert not any(isinstance(m, nn.Linear) for m in head.fc_cls.modules())
    golden.finish({'A.grad.fc_cls_is_none': 'ours has no unused fc_cls, asserted above'})
