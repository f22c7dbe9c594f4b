"""Released detectors: each layout converts to the original weights; others raise."""

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint
from safetensors.torch import load_file

from clipself_mm.clip import TowerSource, read_state
from clipself_mm.clip.class_embeddings import load_class_embeddings
from clipself_mm.clip.weights.tensor_pickle import TENSORS, TensorPickle
from clipself_mm.clip.weights.weight_file import read_weight_file
from clipself_mm.detection.released_checkpoints import (
    check_fit,
    read_detector,
    save_detector,
    save_embeddings,
)
from clipself_mm.io.safe_pickle import Placeholder
from tests.detection.released_twin import (
    CLASSES,
    build_detector,
    detections,
    model_config,
    write_embeddings,
    write_vocabulary,
)
from tests.parity.fixtures import FIXTURES, fixture_json
from tests.parity.tiny_towers import build_tower

TOOL = Path(__file__).parents[2] / 'tools/convert_detector.py'
CLASSIFIER = 'roi_head.bbox_head.fc_cls'
HEAD = 'roi_head.bbox_head'


def eva_tower():
    tower = build_tower('eva_tiny_weights', fixture_json('config.json'))
    tower.source = TowerSource('eva', {})
    return tower


def eva_config(folder, **classifier):
    recorded = fixture_json('config.json')['eva_tiny']
    vision = recorded['vision_cfg']
    embeddings, table = write_embeddings(folder, recorded['embed_dim'])
    config = model_config(
        dict(type='GoldenTower'),
        width=vision['width'],
        dim=recorded['embed_dim'],
        patch=vision['patch_size'],
        out_indices=(0, 1, 2, 3),
        vocabulary=write_vocabulary(folder),
        embeddings=embeddings,
        lvis=classifier.pop('lvis', False),
    )
    config['roi_head']['bbox_head']['cls_predictor_cfg'] |= classifier
    return config, table


def openai_config(folder, micro_clip, **classifier):
    embeddings, table = write_embeddings(folder, 16)
    config = model_config(
        dict(type='CLIPTower', model=micro_clip),
        width=32,
        dim=16,
        patch=8,
        out_indices=(0, 1, 2, 2),
        vocabulary=write_vocabulary(folder),
        embeddings=embeddings,
    )
    config['roi_head']['bbox_head']['cls_predictor_cfg'] |= classifier
    return config, table


@pytest.fixture
def _golden_tower(monkeypatch):
    monkeypatch.setitem(MODELS._module_dict, 'GoldenTower', eva_tower)


def without_tower(model):
    state = model.state_dict()
    return {key: value for key, value in state.items() if not key.startswith('backbone.tower.')}


def eva_weights(holder, text=False):
    """The CLIP with EVA-CLIP's key names, RoPE tables included, from its own file."""
    return {
        f'{holder}{key}': value
        for key, value in load_file(FIXTURES / 'eva_tiny_weights.safetensors').items()
        if text or key.startswith('visual.')
    }


def authors_state(model, table, clip):
    """A checkpoint as mmdet 2 saves it for the official implementation."""
    state = without_tower(model) | clip
    if f'{CLASSIFIER}.temperature' in state:
        state[f'{HEAD}.detect_temperature'] = state.pop(f'{CLASSIFIER}.temperature')
    if f'{CLASSIFIER}.background' in state:
        state[f'{HEAD}.bg_embedding'] = state.pop(f'{CLASSIFIER}.background')[:, None]
    state[f'{HEAD}.all_embeddings'] = table.T.contiguous()
    state[f'{CLASSIFIER}.weight'] = torch.randn(len(CLASSES) + 1, table.shape[1])
    state[f'{CLASSIFIER}.bias'] = torch.randn(len(CLASSES) + 1)
    return state


def clim_state(model, table, clip):
    """A checkpoint as mmdet 3 saves it for CLIM; the background is a linear layer of one input."""
    state = without_tower(model) | clip
    background = state.pop(f'{CLASSIFIER}.background')
    state[f'{HEAD}.bg_embedding.weight'] = background[:, None] / 2
    state[f'{HEAD}.bg_embedding.bias'] = background / 2
    state[f'{HEAD}.cls_temp'] = state.pop(f'{CLASSIFIER}.temperature')[None]
    state[f'{HEAD}.cls_embeddings'] = table[:-1].clone()
    return state


def mmdet2_file(path, state, prefix='', **options):
    content = dict(
        meta=dict(epoch=3, iter=9, mmdet_version='2.28.0', CLASSES=CLASSES, config='model = ...'),
        state_dict={f'{prefix}{key}': value for key, value in state.items()},
        optimizer=dict(state={0: dict(step=7, exp_avg=torch.zeros(3))}, param_groups=[]),
    )
    torch.save(content, path, **options)
    return path


def mmdet3_file(path, state):
    hub = MessageHub('released')
    hub.update_scalar('train/loss', torch.tensor(0.5), 1)
    hub.update_info('best', np.float64(0.3))
    hub.update_info('curve', np.arange(3))
    content = dict(
        meta=dict(epoch=3, cfg='model = ...', dataset_meta=dict(classes=CLASSES)),
        state_dict=state,
        message_hub=hub.state_dict(),
        optimizer=dict(state={}, param_groups=[dict(lr=np.float64(1e-4))]),
    )
    torch.save(content, path)
    return path


def assert_equal_detections(model, other):
    found = detections(model)
    for mine, theirs in zip(found, detections(other), strict=True):
        assert len(mine) == 20
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            same = torch.equal if torch.is_tensor(value) else list.__eq__
            assert same(value, theirs[key]), key


def assert_converts_exactly(model, config, path, folder):
    """Convert, load into a detector of other weights, compare every weight and every detection."""
    other = build_detector(config, seed=2)
    with torch.no_grad():
        for parameter in other.backbone.tower.parameters():
            parameter.mul_(0.9)
    before = detections(other)[0].scores
    assert not torch.equal(before, detections(model)[0].scores)
    conversion = read_detector(path)
    save_detector(conversion, folder / 'converted.pth')
    load_checkpoint(other, str(folder / 'converted.pth'), map_location='cpu', strict=True)
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key
    assert_equal_detections(model, other)
    assert [p.name for p in folder.glob('*converted*')] == ['converted.pth']
    return conversion


@pytest.mark.usefixtures('_golden_tower')
def test_authors_ov_coco(tmp_path):
    config, table = eva_config(tmp_path)
    model = build_detector(config, seed=1)
    state = authors_state(model, table, eva_weights('backbone.'))
    path = mmdet2_file(tmp_path / 'fvit.pth', state)
    conversion = assert_converts_exactly(model, config, path, tmp_path)
    dropped = {key for names in conversion.dropped.values() for key in names}
    tables = {key for key in state if 'rope' in key}
    depth = fixture_json('config.json')['eva_tiny']['vision_cfg']['layers']
    assert len(tables) == 2 * (1 + depth)  # one of the tower, one a block, sine and cosine
    assert dropped == tables | {
        'roi_head.bbox_head.fc_cls.weight',
        'roi_head.bbox_head.fc_cls.bias',
        'roi_head.bbox_head.all_embeddings',
    }
    save_embeddings(conversion, tmp_path / 'read.pt')
    read = load_class_embeddings(tmp_path / 'read.pt', (*CLASSES[::-1], 'background'))
    assert torch.allclose(read, table[[3, 2, 1, 0, 4]], atol=1e-6)
    save_embeddings(conversion, tmp_path / 'read.npy')
    assert np.array_equal(np.load(tmp_path / 'read.npy'), table.numpy())


@pytest.mark.usefixtures('_golden_tower')
@pytest.mark.parametrize('holder', ['backbone.', 'backbone.model.'])
def test_rope_caches_are_dropped(tmp_path, holder):
    config, table = eva_config(tmp_path)
    model = build_detector(config, seed=1)
    state = authors_state(model, table, eva_weights(holder))
    caches = {}
    depth = fixture_json('config.json')['eva_tiny']['vision_cfg']['layers']
    places = ['', 'visual.', *(f'visual.blocks.{index}.attn.' for index in range(depth))]
    for place in places:
        caches[f'{holder}{place}rope.flag'] = torch.tensor(3)
        for tokens in (64, 144, 4096):
            for kind in ('cos', 'sin'):
                caches[f'{holder}{place}rope.freqs_{kind}_{tokens}'] = torch.randn(tokens, 2)
    path = mmdet2_file(tmp_path / 'fvit.pth', state | caches)
    conversion = assert_converts_exactly(model, config, path, tmp_path)
    assert caches.keys() <= {key for names in conversion.dropped.values() for key in names}
    assert read_state(path).keys() == model.backbone.tower.state_dict().keys()


def test_training_state_is_dropped(fvlm, tmp_path):
    model, config, state = fvlm
    beside = {f'ema_{key.replace(".", "_")}': value * 2 for key, value in state.items()}
    beside |= {'backbone.visual.transformer.attn_mask': torch.zeros(3, 3)}
    path = mmdet2_file(tmp_path / 'fvit.pth', state | beside)
    conversion = assert_converts_exactly(model, config, path, tmp_path)
    assert beside.keys() <= {key for names in conversion.dropped.values() for key in names}


@pytest.mark.usefixtures('_golden_tower')
@pytest.mark.parametrize('zipped', [True, False])
def test_authors_ov_lvis_with_text_tower_and_prefix(tmp_path, zipped):
    config, table = eva_config(tmp_path, lvis=True, background='learned')
    model = build_detector(config, seed=1)
    state = authors_state(model, table, eva_weights('backbone.model.', text=True))
    for key in ('rpn_head.rpn_conv.1.bn.running_var', 'roi_head.mask_head.convs.1.bn.weight'):
        assert key in state
    path = mmdet2_file(
        tmp_path / 'fvit.pth', state, 'module.', _use_new_zipfile_serialization=zipped
    )
    conversion = assert_converts_exactly(model, config, path, tmp_path)
    assert 'masks' in detections(model)[0]
    dropped = {key for names in conversion.dropped.values() for key in names}
    assert 'backbone.model.logit_scale' in dropped
    assert any(key.startswith('backbone.model.text.') for key in dropped)


def test_transfer_head_of_fixed_temperature(micro_clip, tmp_path):
    config, table = openai_config(tmp_path, micro_clip, learn_temperature=False)
    model = build_detector(config, seed=1)
    clip = load_file(f'{micro_clip.removeprefix("local-dir:")}/open_clip_model.safetensors')
    clip = {f'backbone.{key}': v for key, v in clip.items() if key.startswith('visual.')}
    path = mmdet2_file(tmp_path / 'fvit.pth', authors_state(model, table, clip))
    conversion = assert_converts_exactly(model, config, path, tmp_path)
    assert not [key for key in conversion.state if 'fc_cls' in key]


@pytest.mark.parametrize('holder', ['clip.', 'clip_model.', 'model.', ''])
def test_clim(micro_clip, tmp_path, holder):
    config, table = openai_config(tmp_path, micro_clip, background='learned')
    model = build_detector(config, seed=1)
    clip = load_file(f'{micro_clip.removeprefix("local-dir:")}/open_clip_model.safetensors')
    clip = {f'backbone.{holder}{key}': value for key, value in clip.items()}
    path = mmdet3_file(tmp_path / 'fvlm.pth', clim_state(model, table, clip))
    conversion = assert_converts_exactly(model, config, path, tmp_path)
    assert conversion.classes == CLASSES
    assert torch.equal(conversion.embeddings, table[:-1])
    dropped = {key for names in conversion.dropped.values() for key in names}
    assert {f'backbone.{holder}{name}' for name in ('logit_scale', 'text_projection')} < dropped


@pytest.fixture
def fvlm(micro_clip, tmp_path):
    """A detector, its config, and its state dict as CLIM saves it."""
    config, table = openai_config(tmp_path, micro_clip, background='learned')
    model = build_detector(config, seed=1)
    clip = load_file(f'{micro_clip.removeprefix("local-dir:")}/open_clip_model.safetensors')
    clip = {f'backbone.{key}': v for key, v in clip.items() if key.startswith('visual.')}
    return model, config, clim_state(model, table, clip)


def test_unknown_keys_are_listed_with_their_shapes(fvlm, tmp_path):
    state = fvlm[2] | {
        'backbone.layer1.0.conv1.weight': torch.zeros(2, 3),
        f'{HEAD}.word_scale': torch.zeros(7),
    }
    path = mmdet3_file(tmp_path / 'odd.pth', state)
    with pytest.raises(ValueError, match=r'odd\.pth') as raised:
        read_detector(path)
    message = str(raised.value)
    assert 'backbone.layer1.0.conv1.weight (2, 3)' in message
    assert f'{HEAD}.word_scale (7,)' in message
    assert 'interpolate' not in message


@pytest.mark.parametrize(
    'key',
    [
        'backbone.visual.ln_mid.weight',
        'backbone.visual.transformer.resblocks.0.attn.cache',
        'backbone.visual.transformer.resblocks.0.rope.periods',
        'backbone.interpolate1.0.lora_weight',
        'neck.fpn_convs.0.attn.weight',
        'rpn_head.rpn_conv.0.conv.mask',
        f'{HEAD}.shared_convs.0.conv.weight_orig',
        'optimizer.weight',
    ],
)
def test_similar_keys_raise(fvlm, tmp_path, run_tool, key):
    source = mmdet3_file(tmp_path / 'odd.pth', fvlm[2] | {key: torch.zeros(2, 3)})
    with pytest.raises(ValueError, match=r'odd\.pth') as raised:
        run_tool('convert_detector', source, tmp_path / 'fvit.pth')
    assert str(raised.value).endswith(f'\n  {key} (2, 3)')
    assert not (tmp_path / 'fvit.pth').exists()


def test_a_detector_without_or_with_two_towers_raises(fvlm, tmp_path):
    state = {k: v for k, v in fvlm[2].items() if not k.startswith('backbone.visual.')}
    with pytest.raises(ValueError, match=r'none\.pth.*\n.*backbone\.visual\.\*'):
        read_detector(mmdet3_file(tmp_path / 'none.pth', state))
    state = fvlm[2] | {'backbone.clip.visual.proj': torch.zeros(1)}
    with pytest.raises(ValueError, match=r"two\.pth.*\n.*\['backbone\.', 'backbone\.clip\.'\]"):
        read_detector(mmdet3_file(tmp_path / 'two.pth', state))
    with pytest.raises(ValueError, match=r'ours\.pth.*clipself_mm'):
        read_detector(mmdet3_file(tmp_path / 'ours.pth', fvlm[0].state_dict()))


def test_another_architecture_raises_with_both_shapes(fvlm, tmp_path):
    _, config, state = fvlm
    conversion = read_detector(mmdet3_file(tmp_path / 'fvlm.pth', state))
    narrow = Config(dict(model=config))
    narrow.dump(tmp_path / 'same.py')
    assert check_fit(conversion, tmp_path / 'same.py') == CLASSES
    narrow.model.neck.out_channels = 4
    narrow.model.rpn_head.in_channels = 4
    narrow.model.roi_head.bbox_head.cls_predictor_cfg.background = 'text'
    narrow.model.roi_head.bbox_head.num_reg_fcs = 2
    narrow.dump(tmp_path / 'narrow.py')
    with pytest.raises(ValueError, match=r'narrow\.py') as raised:
        check_fit(conversion, tmp_path / 'narrow.py')
    message = str(raised.value)
    (line,) = (line for line in message.splitlines() if 'neck.lateral_convs.0.conv.weight' in line)
    assert line.index('(8, 32, 1, 1)') < line.index('(4, 32, 1, 1)')
    assert 'roi_head.bbox_head.fc_cls.background' in message
    assert 'roi_head.bbox_head.reg_fcs.1.weight' in message


class Payload:
    ran = False

    def __reduce__(self):
        return setattr, (Payload, 'ran', True)


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_pickle_raises_and_is_not_executed(fvlm, tmp_path, zipped):
    content = dict(state_dict=fvlm[2], meta=dict(hook=Payload()))
    torch.save(content, tmp_path / 'evil.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r'evil\.pth.*__builtin__\.setattr'):
        read_detector(tmp_path / 'evil.pth')
    assert not Payload.ran


def test_a_script_archive_raises(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Identity()), str(tmp_path / 'script.pth'))
    with pytest.raises(ValueError, match=r'script\.pth'):
        read_detector(tmp_path / 'script.pth')


def test_other_objects_of_a_runner_are_not_built(tmp_path):
    path = mmdet3_file(tmp_path / 'log.pth', dict(weight=torch.arange(3)))
    content = read_weight_file(path)
    assert content['state_dict']['weight'].tolist() == [0, 1, 2]
    assert isinstance(content['message_hub']['runtime_info']['best'], Placeholder)
    assert isinstance(content['message_hub']['log_scalars']['train/loss'], Placeholder)
    older = pickle.dumps(np.float64(1), protocol=2).replace(b'numpy._core', b'numpy.core')
    assert isinstance(TensorPickle(TENSORS).load(io.BytesIO(older)), Placeholder)


@pytest.mark.parametrize('keep', [0, 100, 5000, 0.9])
def test_a_truncated_or_missing_file_raises(fvlm, tmp_path, keep):
    path = tmp_path / 'cut.pth'
    with pytest.raises(FileNotFoundError, match=r'cut\.pth'):
        read_detector(path)
    whole = mmdet3_file(path, fvlm[2]).read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match=r'cut\.pth'):
        read_detector(path)


def test_tool_reports_and_writes_what_inference_reads(fvlm, tmp_path, run_tool, capsys):
    _, config, state = fvlm
    source = mmdet3_file(tmp_path / 'fvlm.pth', state)
    Config(dict(model=config)).dump(tmp_path / 'config.py')
    target, embeddings = tmp_path / 'out/fvit.pth', tmp_path / 'read.pt'
    words = ['--fits', tmp_path / 'config.py', '--embeddings', embeddings]
    run_tool('convert_detector', source, target, *words)
    report = capsys.readouterr().out
    assert f'{HEAD}.cls_embeddings' in report
    assert f'{source}: the activation cannot be told' in report
    assert torch.load(target, weights_only=True)['meta'] == dict(dataset_meta=dict(classes=CLASSES))
    assert load_class_embeddings(embeddings, CLASSES).shape == (4, 16)


def test_embeddings_without_names_need_a_vocabulary(fvlm, tmp_path):
    torch.save(fvlm[2], tmp_path / 'bare.pth')
    conversion = read_detector(tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match=r'read\.pt.*\b4\b.*\b0\b'):
        save_embeddings(conversion, tmp_path / 'read.pt')
    assert not (tmp_path / 'read.pt').exists()
    save_embeddings(conversion, tmp_path / 'read.pt', CLASSES)
    assert list(torch.load(tmp_path / 'read.pt', weights_only=True)) == list(CLASSES)
