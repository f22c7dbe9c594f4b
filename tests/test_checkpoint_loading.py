"""Checkpoints of mmengine: every door reads them unchanged and runs nothing in them."""

import os
import pickle
import struct
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from clipself_mm import checkpoint_loading
from clipself_mm.checkpoint_loading import TRAINING_CHECKPOINT
from clipself_mm.clip.weights.tensor_pickle import TensorUnpickler
from clipself_mm.io.safe_pickle import Placeholder
from clipself_mm.panoptic.generator_source import load_generator
from tests.detection.tiny_fvit import write_detector
from tests.tools.toy_task import CONFIG

REFUSED = r'evil\.pth.*io\.open.*was not run'


class Payload:
    """Makes a file named `ran` when it is unpickled."""

    def __reduce__(self):
        return open, ('ran', 'w')


@pytest.fixture
def read(elsewhere):
    return lambda path: CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


@pytest.fixture
def evil(elsewhere):
    """A checkpoint with valid weights of the toy model and a payload in the message hub."""
    hub = dict(log_scalars={}, runtime_info=dict(epoch=0, iter=0, x=Payload()), resumed_keys={})
    state = dict(weight=torch.tensor(0.5))
    torch.save(dict(state_dict=state, meta=dict(epoch=0, iter=0), message_hub=hub), 'evil.pth')
    yield Path('evil.pth')
    assert not Path('ran').exists()


@pytest.fixture
def toy(elsewhere):
    Path('toy.py').write_text(CONFIG.replace('RUN', uuid.uuid4().hex))
    return Path('toy.py')


def test_payload_would_be_detected(elsewhere):
    torch.save(Payload(), 'evil.pth')
    torch.load('evil.pth', weights_only=False)
    assert Path('ran').exists()


@pytest.mark.parametrize('zipped', [True, False])
def test_loader_runs_no_code(zipped, read):
    torch.save(dict(a=Payload()), 'evil.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=REFUSED):
        read('evil.pth')
    assert not Path('ran').exists()


@pytest.mark.parametrize(
    'words',
    [
        ('train', '--resume', 'evil.pth'),
        ('train', '--cfg-options', 'load_from=evil.pth'),
        ('test', 'evil.pth'),
        ('test', '--cfg-options', 'load_from=evil.pth'),
    ],
    ids=' '.join,
)
def test_tools_run_no_code(words, toy, evil, run_tool):
    tool, *rest = words
    with pytest.raises(ValueError, match=REFUSED):
        run_tool(tool, toy, *rest, '--work-dir', 'w')


def test_automatic_resume_runs_no_code(toy, evil, run_tool):
    run_tool('train', toy, '--work-dir', 'w')
    last = Path('w/last_checkpoint').read_text()
    os.replace(evil, Path(last).with_name('evil.pth'))
    Path('w/last_checkpoint').write_text(str(Path(last).with_name('evil.pth')))
    with pytest.raises(ValueError, match=REFUSED):
        run_tool('train', toy, '--work-dir', 'w', '--resume')


def test_inferencer_and_generator_run_no_code(micro_clip, evil):
    write_detector(Path(), micro_clip)
    with pytest.raises(ValueError, match=REFUSED):
        DetInferencer('config.py', 'evil.pth', device='cpu')
    with pytest.raises(ValueError, match=REFUSED):
        load_generator(torch.nn.Linear(1, 1), 'evil.pth')


@pytest.mark.parametrize('content', [[1], dict(state_dict=3), dict(weight=1, bias=None)])
def test_generator_without_tensors_raises(content, elsewhere):
    torch.save(content, 'generator.pth')
    with pytest.raises(ValueError, match=r'generator\.pth'):
        load_generator(torch.nn.Linear(1, 1), 'generator.pth')


def test_url_runs_no_code(evil, read, monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))

    def download(url, target):
        assert url == 'https://host/models/evil.pth?version=1'
        Path(target).write_bytes(evil.read_bytes())

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    for _ in range(2):  # the second time from the cache
        with pytest.raises(ValueError, match=REFUSED):
            read('https://host/models/evil.pth?version=1')
        monkeypatch.setattr(torch.hub, 'download_url_to_file', None)


def same(one, other, name=''):
    """Assert that two checkpoints are equal to the last bit, types included."""
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor), name
        assert (one.dtype, one.shape, one.stride()) == (other.dtype, other.shape, other.stride())
        assert torch.equal(one, other), name
        return
    assert type(one) is type(other), name
    if isinstance(one, HistoryBuffer):
        one, other = vars(one), vars(other)
    if isinstance(one, dict):
        assert list(one) == list(other), name
        for key in one:
            same(one[key], other[key], f'{name}.{key}')
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), name
        for index, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f'{name}.{index}')
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, name
        assert np.array_equal(one, other), name
    else:
        assert one == other, name


def test_our_checkpoint_is_read_bit_for_bit(toy, read, run_tool):
    options = ['optim_wrapper.optimizer.type=AdamW', 'train_cfg.max_epochs=2']
    options += ['randomness.seed=3']
    toy.write_text(f"{toy.read_text()}\nparam_scheduler = dict(type='ExponentialLR', gamma=0.5)\n")
    run_tool('train', toy, '--work-dir', 'w', '--cfg-options', *options)
    path = Path('w/last_checkpoint').read_text()
    expected, found = torch.load(path, weights_only=False), read(path)
    same(expected, found)
    assert {'optimizer', 'param_schedulers', 'message_hub', 'meta'} <= found.keys()
    loss = found['message_hub']['log_scalars']['train/loss']
    before = expected['message_hub']['log_scalars']['train/loss']
    assert loss.statistics('mean', 2) == before.statistics('mean', 2)
    loss.update(1.0)
    assert loss.current() == 1.0


def test_usual_values_of_a_training_are_read(read):
    values = dict(number=np.float32(0.1), flag=np.bool_(True), many=np.arange(6.0).reshape(2, 3))
    values |= dict(device=torch.device('cpu'), names={'a', 'b'}, pair=(1, 'x'), raw=b'\xff')
    values |= dict(text=np.array(['é']), size=torch.Size([2]), dtype=torch.float16)
    torch.save(values, 'values.pth')
    same(values, read('values.pth'))


def test_tensors_go_to_the_device_and_none_is_the_cpu(read):
    shared = torch.ones(2)
    torch.save(dict(a=[shared, (shared, 1)], b=shared), 'x.pth')
    found = CheckpointLoader.load_checkpoint('x.pth', map_location='meta')
    assert found['b'].device.type == found['a'][1][0].device.type == 'meta'
    assert found['a'][1][1] == 1
    assert CheckpointLoader.load_checkpoint('x.pth')['b'].device.type == 'cpu'


def test_other_objects_are_named_and_not_built(read, monkeypatch):
    said = []
    monkeypatch.setattr(checkpoint_loading, 'print_log', lambda text, **_: said.append(text))
    torch.save(dict(meta=dict(config=Config(dict(a=1)), epoch=3)), 'old.pth')
    found = read('old.pth')['meta']
    assert isinstance(found['config'], Placeholder)
    assert found['epoch'] == 3
    assert said == ['old.pth: 1 objects are no data and were left out: meta.config']


def opcodes(*parts):
    """A pickle of protocol 2 of globals ('module name'), texts and raw opcodes (bytes)."""
    packed = b'\x80\x02'
    for part in parts:
        if isinstance(part, bytes):
            packed += part
        elif ' ' in part:
            packed += f'c{part.replace(" ", chr(10))}\n'.encode()
        else:
            packed += b'X' + struct.pack('<I', len(part)) + part.encode()
    return packed + b'.'


BUFFER = 'mmengine.logging.history_buffer HistoryBuffer'


@pytest.mark.parametrize(
    'name', ['__init__', '__globals__', '__class__', '_set_default_statistics']
)
def test_getattr_reaches_public_methods_only(name, elsewhere):
    def load(attribute):
        Path('x').write_bytes(opcodes('__builtin__ getattr', b'(', BUFFER, attribute, b'tR'))
        with open('x', 'rb') as file:
            return TensorUnpickler(file, TRAINING_CHECKPOINT).load()

    assert load('mean') is HistoryBuffer.mean
    assert isinstance(load(name), Placeholder)


def test_pickle_cannot_change_the_history_buffer(elsewhere):
    mean = HistoryBuffer.mean
    state = [b'N}', 'mean', b'K\x01s\x86b']
    Path('x').write_bytes(opcodes(BUFFER, *state))
    with open('x', 'rb') as file, pytest.raises((pickle.UnpicklingError, TypeError)):
        TensorUnpickler(file, TRAINING_CHECKPOINT).load()
    assert HistoryBuffer.mean is mean


def test_files_that_are_no_checkpoint_raise_with_their_name(read):
    Path('folder.pth').mkdir()
    with pytest.raises(IsADirectoryError, match=r'folder\.pth.*folder'):
        read('folder.pth')
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        read('none.pth')
    for name, content in (('empty.pth', b''), ('text.pth', b'<html>'), ('zip.pth', b'PK\3\4....')):
        Path(name).write_bytes(content)
        with pytest.raises(ValueError, match=name.replace('.', r'\.')):
            read(name)
    nested = torch.ones(1)
    for _ in range(40):
        nested = [nested] * 10  # 10^40 paths to one tensor
    torch.save(dict(a=nested), 'laugh.pth')
    assert len(read('laugh.pth')['a']) == 10
