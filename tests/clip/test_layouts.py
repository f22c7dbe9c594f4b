"""Every row of the table in docs/checkpoints.md: a file of it gives the same tower."""

import argparse
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import load_file, save_file

from clipself_mm.clip import TextTower, build_tower, read_state
from clipself_mm.clip.weights.checkpoints import read_checkpoint
from clipself_mm.clip.weights.eva_names import to_original
from clipself_mm.clip.weights.hugging_face_names import to_hugging_face
from tests.clip.micro_eva import write_micro_eva
from tests.clip.micro_script import script_archive

IMAGES = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
HEAD_DIM = 16


@pytest.fixture(scope='module')
def micro_eva(tmp_path_factory):
    return write_micro_eva(tmp_path_factory.mktemp('eva') / 'micro')


def state_of(model):
    return load_file(f'{model.removeprefix("local-dir:")}/open_clip_model.safetensors')


def visual_of(state):
    return {key: value for key, value in state.items() if key.startswith('visual.')}


def prefixed(prefix, state):
    return {f'{prefix}{key}': value for key, value in state.items()}


def openai(state):
    """What OpenAI's state dicts hold beside the weights, here of the micro CLIP."""
    sizes = dict(input_resolution=32, context_length=24, vocab_size=49408)
    return state | {key: torch.tensor(value) for key, value in sizes.items()}


def detector(prefix, state):
    others = [
        'backbone.interpolate1.0.weight',
        'neck.fpn_convs.0.conv.bias',
        'rpn_head.rpn_cls.bias',
    ]
    head = ['roi_head.bbox_head.fc_reg.weight', 'backbone.text.ln_final.bias']
    return prefixed(prefix, visual_of(state)) | {name: torch.ones(2) for name in others + head}


def student(state):
    visual = visual_of(state)
    teacher = {key: torch.zeros_like(value) for key, value in visual.items()}
    return prefixed('student.', visual) | prefixed('teacher.', teacher)


def authors(state):
    """EVA-CLIP's names under DDP's prefix, beside the rest of the authors' training loop."""
    return prefixed('module.', to_original(state, HEAD_DIM))


VIT = {
    'open_clip .pt': ('CLIP', 'open_clip', lambda s: s),
    'open_clip training': (
        'CLIP',
        'open_clip',
        lambda s: dict(state_dict=s, optimizer={}),
    ),
    'DDP': ('CLIP', 'open_clip', lambda s: dict(state_dict=prefixed('module.', s))),
    'torch.compile': ('CLIP', 'open_clip', lambda s: dict(model=prefixed('_orig_mod.', s))),
    'torch.compile of DDP': ('CLIP', 'open_clip', lambda s: prefixed('_orig_mod.module.', s)),
    'DDP of torch.compile': ('CLIP', 'open_clip', lambda s: prefixed('module._orig_mod.', s)),
    'OpenAI state dict': ('CLIP', 'OpenAI', openai),
    "Lightning's": ('CLIP', 'open_clip', lambda s: dict(state_dict=prefixed('model.', s))),
    'Hugging Face in a model': (
        'CLIP',
        'Hugging Face',
        lambda s: prefixed('module.net.clip.', to_hugging_face(s)),
    ),
    'Hugging Face': ('CLIP', 'Hugging Face', to_hugging_face),
    'CLIPSelf run': ('CLIPSelf run', 'open_clip', lambda s: dict(state_dict=student(s), meta={})),
    'F-ViT': ('F-ViT', 'open_clip', lambda s: dict(state_dict=detector('backbone.tower.', s))),
    'authors, OpenAI ViT': ('CLIP', 'open_clip', lambda s: dict(state_dict=prefixed('module.', s))),
    "CLIM's F-VLM": (
        'released detector',
        'open_clip',
        lambda s: dict(state_dict=detector('backbone.clip_model.', s)),
    ),
}
EVA = {
    'EVA-CLIP, Lightning': (
        'CLIP',
        'EVA-CLIP',
        lambda s: dict(state_dict=prefixed('model.', to_original(s, HEAD_DIM))),
    ),
    'EVA-CLIP': ('CLIP', 'EVA-CLIP', lambda s: to_original(s, HEAD_DIM)),
    'EVA-CLIP, DeepSpeed': ('CLIP', 'EVA-CLIP', lambda s: dict(module=to_original(s, HEAD_DIM))),
    'authors, EVA-02': ('CLIP', 'EVA-CLIP', lambda s: dict(epoch=6, state_dict=authors(s))),
    'open_clip of EVA-02': ('CLIP', 'open_clip', lambda s: s),
    'authors, F-ViT': (
        'released detector',
        'EVA-CLIP',
        lambda s: dict(state_dict=detector('backbone.', to_original(s, HEAD_DIM))),
    ),
    'F-ViT of EVA-02': ('F-ViT', 'open_clip', lambda s: detector('backbone.tower.', s)),
}


def check_same_tower(model, path):
    expected, found = build_tower(model).eval(), build_tower(model, str(path)).eval()
    with torch.no_grad():
        assert found.encode_dense(IMAGES).equal(expected.encode_dense(IMAGES))
        assert found.encode_image(IMAGES).equal(expected.encode_image(IMAGES))


def quick(model, folder):
    """The same CLIP with QuickGELU, as OpenAI's are."""
    folder.mkdir()
    content = json.loads((_folder(model) / 'open_clip_config.json').read_text())
    content['model_cfg']['quick_gelu'] = True
    (folder / 'open_clip_config.json').write_text(json.dumps(content))
    save_file(state_of(model), folder / 'open_clip_model.safetensors')
    return f'local-dir:{folder}'


def _folder(model):
    return Path(model.removeprefix('local-dir:'))


@pytest.mark.parametrize('suffix', ['pt', 'safetensors', 'old.pt'])
@pytest.mark.parametrize('row', VIT)
def test_vit_loads_from_any_layout(row, suffix, micro_clip, tmp_path):
    kind, key_style, made = VIT[row]
    content = made(state_of(micro_clip))
    if suffix == 'safetensors':
        content = content.get('state_dict', content.get('model', content))
        save_file(content, tmp_path / 'clip.safetensors')
    else:
        torch.save(
            content, tmp_path / f'clip.{suffix}', _use_new_zipfile_serialization=suffix == 'pt'
        )
    path = tmp_path / f'clip.{suffix}'
    assert read_checkpoint(path).layout == (kind, key_style)
    model = quick(micro_clip, tmp_path / 'quick') if key_style == 'OpenAI' else micro_clip
    check_same_tower(model, path)


@pytest.mark.parametrize('row', EVA)
def test_eva02_loads_from_any_layout(row, micro_eva, tmp_path):
    kind, key_style, made = EVA[row]
    torch.save(made(state_of(micro_eva)), tmp_path / 'eva.pt')
    assert read_checkpoint(tmp_path / 'eva.pt').layout == (kind, key_style)
    check_same_tower(micro_eva, tmp_path / 'eva.pt')


@pytest.mark.parametrize('half', [False, True])
def test_openai_archive_is_read_without_running_it(half, micro_clip, tmp_path, monkeypatch):
    clip = open_clip.create_model(quick(micro_clip, tmp_path / 'quick')).eval()
    script_archive(clip, tmp_path / 'clip.pt', half)
    monkeypatch.setattr(torch.jit, 'load', lambda *_, **__: pytest.fail('it was run'))
    found, layout, quick_gelu = read_checkpoint(tmp_path / 'clip.pt')
    assert layout == ('CLIP', 'OpenAI')
    assert quick_gelu is True
    expected = (clip.half() if half else clip).state_dict()
    assert found.keys() == expected.keys()
    assert all(found[key].equal(expected[key]) for key in expected)
    if not half:
        check_same_tower(f'local-dir:{tmp_path / "quick"}', tmp_path / 'clip.pt')


def test_openai_image_tower_without_quick_gelu_raises(micro_clip, tmp_path):
    torch.save(openai(state_of(micro_clip)), tmp_path / 'clip.pt')
    with pytest.raises(ValueError, match=r'clip\.pt.*QuickGELU'):
        build_tower(micro_clip, str(tmp_path / 'clip.pt'))


def test_openai_text_tower_without_quick_gelu_raises(micro_clip, tmp_path):
    torch.save(openai(state_of(micro_clip)), tmp_path / 'clip.pt')
    with pytest.raises(ValueError, match=r'clip\.pt.*QuickGELU.*local-dir:.*"quick_gelu": true'):
        TextTower(micro_clip, str(tmp_path / 'clip.pt'))
    TextTower(quick(micro_clip, tmp_path / 'quick'), str(tmp_path / 'clip.pt'))


def test_unexpected_integer_key_raises(micro_clip, tmp_path):
    torch.save(state_of(micro_clip) | {7: torch.ones(2)}, tmp_path / 'seven.pt')
    with pytest.raises(ValueError, match=r'seven\.pt.*\n.*\b7 \(2,\)'):
        read_state(tmp_path / 'seven.pt')


def test_unexpected_tensors_are_listed(micro_clip, tmp_path):
    extra = {f'decoder.{index}.weight': torch.zeros(index, 2) for index in range(1, 31)}
    torch.save(state_of(micro_clip) | extra, tmp_path / 'more.pt')
    with pytest.raises(ValueError, match=r'more\.pt.*\b30\b') as raised:
        read_state(tmp_path / 'more.pt')
    assert all(f'{key} {tuple(value.shape)}' in str(raised.value) for key, value in extra.items())
    torch.save(student(state_of(micro_clip)) | {'head.bias': torch.ones(3)}, tmp_path / 'run.pth')
    with pytest.raises(ValueError, match=r'head\.bias \(3,\)'):
        read_state(tmp_path / 'run.pth')


def test_file_of_another_architecture_raises_with_both_shapes(micro_clip, micro_eva, tmp_path):
    state = state_of(micro_clip)
    state['visual.conv1.weight'] = torch.zeros(48, 3, 8, 8)
    torch.save(dict(state_dict=state), tmp_path / 'wide.pt')
    with pytest.raises(ValueError, match=r'wide\.pt.*\n.*\(48, 3, 8, 8\).*\(32, 3, 8, 8\)'):
        build_tower(micro_clip, str(tmp_path / 'wide.pt'))
    torch.save(to_original(state_of(micro_eva), HEAD_DIM), tmp_path / 'eva.pt')
    with pytest.raises(ValueError, match=r'visual\.trunk\.blocks\.1\.mlp\.fc2\.bias'):
        build_tower(micro_clip, str(tmp_path / 'eva.pt'))


SINK = {'sink_temp': torch.ones(1)}


@pytest.mark.parametrize(
    ('made', 'found'),
    [
        (
            lambda s: prefixed('model.', s) | prefixed('teacher.', visual_of(s)) | SINK,
            '"model.visual.*" and "teacher.visual.*", beside sink_temp;',
        ),
        (lambda s: s | prefixed('ema.', s), '"visual.*" and "ema.visual.*";'),
        (
            lambda s: prefixed('a.', s) | prefixed('b.', to_hugging_face(s)),
            '"a.visual.*" and "b.vision_model.*";',
        ),
        (lambda s: prefixed('model.', s) | SINK, '"model.visual.*", beside sink_temp;'),
    ],
    ids=['two', 'one without prefix', 'two styles', 'one with others'],
)
def test_several_clips_or_others_raise_with_their_prefixes(made, found, micro_clip, tmp_path):
    path = tmp_path / 'two.pt'
    torch.save(dict(state_dict=made(state_of(micro_clip)), optimizer_states=[{}]), path)
    with pytest.raises(ValueError, match='two') as raised:
        build_tower(micro_clip, str(path))
    assert str(raised.value) == (
        f'{path}: expected one CLIP and nothing else, found {found} save the wanted one alone, its '
        'keys without that prefix'
    )


@pytest.mark.parametrize(
    ('taken', 'copy', 'prefix'),
    [
        ('state_dict', 'ema_state_dict', ''),
        ('state_dict', 'ema_state_dict', 'module.'),
        ('model', 'model_ema', ''),
        ('state_dict', 'model', ''),
    ],
)
def test_copy_of_the_weights_is_not_read_and_said(
    taken, copy, prefix, micro_clip, tmp_path, caplog
):
    state = state_of(micro_clip)
    average = prefixed(prefix, {key: value + 1 for key, value in state.items()})
    content = {copy: average | dict(steps=torch.ones(1)), taken: state, 'optimizer': {}}
    torch.save(content, tmp_path / 'ema.pt')
    with caplog.at_level('WARNING'):
        check_same_tower(micro_clip, tmp_path / 'ema.pt')
    assert f'ema.pt: {taken} is read, {copy} has the same keys and is not' in caplog.text


def test_average_alone_raises(micro_clip, tmp_path):
    torch.save(dict(ema_state_dict=state_of(micro_clip)), tmp_path / 'ema.pt')
    with pytest.raises(ValueError, match=r'ema\.pt.*found ema_state_dict'):
        build_tower(micro_clip, str(tmp_path / 'ema.pt'))


@pytest.mark.parametrize('zipped', [True, False])
def test_values_of_a_training_lie_beside_the_tower(zipped, micro_clip, tmp_path):
    log = HistoryBuffer()
    log.update(np.float64(0.5))
    values = dict(
        best=np.float64(0.5),
        count=np.int64(3),
        table=np.arange(3),
        args=argparse.Namespace(path=Path('x'), lr=1e-5),
        work_dir=Path('work_dirs/run'),
        log=log,
    )
    content = dict(state_dict=student(state_of(micro_clip)), meta=values, optimizer=[values])
    torch.save(content, tmp_path / 'run.pth', _use_new_zipfile_serialization=zipped)
    check_same_tower(micro_clip, tmp_path / 'run.pth')
    if not zipped:  # names of the other numpy; a zip has sums of its bytes
        written = (tmp_path / 'run.pth').read_bytes()
        old, new = b'numpy.core', b'numpy._core'
        pair = (new, old) if new in written else (old, new)
        (tmp_path / 'other.pth').write_bytes(written.replace(*pair))
        check_same_tower(micro_clip, tmp_path / 'other.pth')


def test_text_tower_from_an_image_tower_file_raises(micro_clip, tmp_path):
    torch.save(student(state_of(micro_clip)), tmp_path / 'run.pth')
    with pytest.raises(ValueError, match=r'run\.pth.*text tower'):
        TextTower(micro_clip, str(tmp_path / 'run.pth'))
