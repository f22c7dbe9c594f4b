"""The pyramid's maps and the CLIP map against the release's detection backbone."""

import pytest
import torch
from mmengine.registry import MODELS

from clipself_mm.detection import FViTBackbone
from tests.parity.fixtures import GoldenFile, fixture_json
from tests.parity.tiny_towers import build_tower

pytestmark = pytest.mark.parity


@pytest.fixture
def golden():
    return GoldenFile('fvit_backbone')


def build_backbone(golden, case, monkeypatch):
    monkeypatch.setitem(
        MODELS._module_dict,
        'GoldenTower',
        lambda: build_tower('eva_tiny_weights', fixture_json('config.json')),
    )
    backbone = FViTBackbone(
        dict(type='GoldenTower'),
        out_indices=golden.config['out_indices'],
        norm_cfg=dict(type='BN') if case == 'bn' else None,
    )
    weights = {
        key.removeprefix(f'{case}.'): torch.from_numpy(value)
        for key, value in golden.weights.items()
        if key.startswith(f'{case}.')
    }
    missing, unexpected = backbone.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(name.startswith('tower.') for name in missing)
    return backbone


def test_maps_and_statistics(golden, monkeypatch):
    images = torch.from_numpy(golden.inputs['image'])
    for case in ('none', 'bn'):
        backbone = build_backbone(golden, case, monkeypatch)
        trainable = {name for name, p in backbone.named_parameters() if p.requires_grad}
        assert trainable == set(golden.meta[f'{case}.trainable_names'])
        maps, dense = backbone.eval().forward_with_dense(images)
        for place, level in enumerate(maps, start=1):
            golden.check(f'{case}.eval.map{place}', level)
        golden.check(f'{case}.eval.vlm_feat', dense)
        plain = backbone(images)
        assert all(torch.equal(a, b) for a, b in zip(maps, plain, strict=True))
        trained = backbone.train()(images)
        assert not backbone.tower.training
        if case == 'none':
            assert all(torch.equal(a, b) for a, b in zip(maps, trained, strict=True))
    golden.check('bn.train.map1', trained[0])
    assert all(torch.equal(a, b) for a, b in zip(maps[1:], trained[1:], strict=True))
    norm = backbone.interpolate1[1]
    golden.check('bn.train.running_mean_after', norm.running_mean)
    golden.check('bn.train.running_var_after', norm.running_var)
    golden.finish()
