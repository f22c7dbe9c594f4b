"""Crafted files: none of them runs, changes or reads anything that is not its own."""

import copy
import io
import os
import pickle
import resource
import struct
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from clipself_mm.clip.weights.weight_file import read_weight_file
from clipself_mm.io.safe_pickle import ARRAYS, Placeholder, check_sizes, load_pickle

MAGIC = 0x1950A86A20F9469CFC6C
FORMATS = ('zip', 'old')


def text(word):
    data = word.encode()
    return b'X' + struct.pack('<I', len(data)) + data


def number(value):
    return b'J' + struct.pack('<i', value)


def numbers(values):
    return b'(' + b''.join(map(number, values)) + b't'


def named(name):
    module, _, attribute = name.rpartition('.')
    return f'c{module}\n{attribute}\n'.encode()


def dictionary(value):
    """A pickle of {'weight': value}."""
    return b'\x80\x02}' + text('weight') + value + b's.'


def tensor(size, stride, offset=0, numel=4):
    """The opcodes of a float tensor on storage 0."""
    storage = b'(' + text('storage') + named('torch.FloatStorage') + text('0') + text('cpu')
    storage += number(numel) + b'tQ'
    rest = number(offset) + numbers(size) + numbers(stride) + b'\x89)'
    return named('torch._utils._rebuild_tensor_v2') + b'(' + storage + rest + b'tR'


def write(path, content, kind, others=()):
    """Write a pickle as torch's zip, with four floats in storage 0, or in its old format."""
    if kind == 'zip':
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('archive/data.pkl', content)
            archive.writestr('archive/version', '3')
            archive.writestr('archive/data/0', np.arange(4, dtype='<f4').tobytes())
            for name, data in others:
                archive.writestr(name, data)
        return
    head = b''.join(pickle.dumps(item, 2) for item in (MAGIC, 1001, {'little_endian': True}))
    path.write_bytes(head + content + pickle.dumps([], 2))


@pytest.mark.parametrize('kind', FORMATS)
@pytest.mark.parametrize(
    ('name', 'code'),
    [
        (name, named(name) + call)
        for name, call in (
            ('os.system', b'(' + text('touch ran') + b'tR'),
            ('builtins.eval', b'(' + text('open("ran", "w")') + b'tR'),
            ('torch.load', b'(' + text('other.pt') + b'tR'),
            ('torch.storage._load_from_bytes', b'(' + text('x') + b'tR'),
            ('torch._utils._rebuild_tensor_v2.__globals__', b''),
            ('collections.OrderedDict.__class__', b''),
            ('torch.float32.__class__', b''),
            ('numpyevil.system', b''),
        )
    ]
    + [('os.system', b"(S'touch ran'\nios\nsystem\n")],
    ids=['reduce', 'eval', 'load', 'bytes', 'globals', 'class', 'dtype', 'like numpy', 'inst'],
)
def test_pickle_with_code_raises(name, code, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'evil.pt', dictionary(code), kind)
    with pytest.raises(ValueError, match=rf'evil\.pt.*{name}'):
        read_weight_file('evil.pt')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('kind', FORMATS)
@pytest.mark.parametrize('name', ['numpy.testing.measure', 'builtins.getattr', 'torch.device'])
def test_ignored_objects_are_not_called(name, kind, tmp_path):
    code = named(name) + b'(' + text('open("ran", "w")') + b'tR' + b'}' + text('a') + b'K\x01sb'
    write(tmp_path / 'run.pt', dictionary(code), kind)
    assert isinstance(read_weight_file(tmp_path / 'run.pt')['weight'], Placeholder)


@pytest.mark.parametrize('kind', FORMATS)
def test_pickle_cannot_set_state_on_a_function(kind, tmp_path):
    """BUILD gives a state to anything, to a function too: here other defaults."""
    function = torch._utils._rebuild_tensor_v2
    before = dict(vars(function)), function.__kwdefaults__, function.__name__
    state = b'N}' + text('__kwdefaults__') + b'}' + text('evil') + b'K\x01ss\x86b'
    write(
        tmp_path / 'evil.pt', dictionary(named(f'torch._utils.{function.__name__}') + state), kind
    )
    with pytest.raises(ValueError, match=r'evil\.pt.*function'):
        read_weight_file(tmp_path / 'evil.pt')
    assert (dict(vars(function)), function.__kwdefaults__, function.__name__) == before


def test_old_format_writes_no_source_patch(tmp_path):
    """torch writes NAME.patch for a container whose source differs, if it asks for that."""
    state = b'N}' + text('__name__') + text(str(tmp_path / 'written')) + b's'
    state += text('dump_patches') + b'\x88s\x86b'
    container = named('torch._utils._rebuild_tensor_v2') + b'p0\n' + state + b'0'
    module = b'(' + text('module') + b'g0\n' + text('x.py') + text('anything') + b'tQ'
    write(tmp_path / 'evil.pt', dictionary(container + module), 'old')
    with pytest.raises(ValueError, match=r'evil\.pt'):
        read_weight_file(tmp_path / 'evil.pt')
    assert [item.name for item in tmp_path.iterdir()] == ['evil.pt']


class Speaker(nn.Module):
    """TorchScript that runs when it is loaded."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, images):
        return images + self.weight

    @torch.jit.export
    def __getstate__(self):
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        self.weight = state[0]
        self.training = state[1]
        print('TorchScript runs')


@pytest.mark.parametrize('disguised', [False, True])
def test_torchscript_is_not_compiled(disguised, tmp_path, monkeypatch):
    """Disguised, its constants are seen by torch's reader only, which takes the first directory."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(Speaker()), buffer)
    content = buffer.getvalue()
    if disguised:
        *_, count, size, start, _ = struct.unpack('<4s4H2LH', content[content.rindex(b'PK\5\6') :])
        directory = content[start : start + size]
        end = struct.pack('<4s4H2LH', b'PK\5\6', 0, 0, count, count, size, start, 0)
        other = directory.replace(b'/constants.pkl', b'/constantz.pkl')
        content = content[: start + size] + other + end
    (tmp_path / 'script.pt').write_bytes(content)
    records = torch._C.PyTorchFileReader(str(tmp_path / 'script.pt')).get_all_records()
    assert 'constants.pkl' in records
    monkeypatch.setattr(torch.jit, 'load', lambda *_, **__: pytest.fail('it was run'))
    if disguised:
        with pytest.raises(ValueError, match=r'script\.pt'):
            read_weight_file(tmp_path / 'script.pt')
    else:
        assert read_weight_file(tmp_path / 'script.pt') == {}


@pytest.mark.parametrize(
    'opcodes',
    [
        tensor((5,), (1,)),
        tensor((100_000,), (1,), numel=100_000),
        tensor((4,), (1,), offset=1),
        tensor((4,), (-1,), offset=3),
        tensor((2, 2), (3, 1)),
        tensor((1,), (1,), offset=-1),
    ],
    ids=['size', 'claimed size', 'offset', 'backwards', 'stride', 'before'],
)
def test_tensor_that_exceeds_its_storage_raises(opcodes, tmp_path):
    write(tmp_path / 'far.pt', dictionary(opcodes), 'zip')
    with pytest.raises(ValueError, match=r'far\.pt'):
        read_weight_file(tmp_path / 'far.pt')


def test_tensors_by_hand(tmp_path):
    write(tmp_path / 'a.pt', dictionary(tensor((2, 1), (2, 1), offset=1)), 'zip')
    assert read_weight_file(tmp_path / 'a.pt')['weight'].tolist() == [[1], [3]]
    write(tmp_path / 'b.pt', dictionary(tensor((), ())), 'zip')
    assert read_weight_file(tmp_path / 'b.pt')['weight'].item() == 0


def test_other_files_of_an_archive_are_ignored(tmp_path):
    evil = named('os.system') + b'(' + text('touch ran') + b'tR.'
    others = [('archive/constants2.pkl', evil), ('archive/code/a.py', 'import os'), ('b.pkl', evil)]
    write(tmp_path / 'more.pt', dictionary(tensor((4,), (1,))), 'zip', others)
    assert read_weight_file(tmp_path / 'more.pt')['weight'].tolist() == [0, 1, 2, 3]


def peak_of(call):
    """Megabytes that a call adds to the largest resident memory, in a process of its own."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            call()
        except ValueError as error:
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            os.write(writer, f'{(after - before) // 1024} {error}'.encode()[:4000])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    megabytes, _, message = text.partition(' ')
    return int(megabytes or -1), message


def test_zip_bomb_takes_no_memory(tmp_path):
    """100 MB of zeros in 100 kB: once as a storage, once as the pickle."""
    zeros = bytes(10**8)
    with zipfile.ZipFile(tmp_path / 'bomb.pt', 'w') as archive:
        archive.writestr('archive/data.pkl', dictionary(tensor((1,), (1,), numel=25 * 10**6)))
        archive.writestr('archive/data/0', zeros, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / 'text.pt', 'w') as archive:
        pickled = b'\x80\x02X' + struct.pack('<I', len(zeros)) + zeros + b'.'
        archive.writestr('archive/data.pkl', pickled, zipfile.ZIP_DEFLATED)
    del zeros, pickled
    for name in ('bomb.pt', 'text.pt'):
        assert (tmp_path / name).stat().st_size < 10**6
        megabytes, message = peak_of(lambda name=name: read_weight_file(tmp_path / name))
        assert 'is compressed' in message, name
        assert name in message
        assert megabytes < 50, name


def test_entries_that_share_their_bytes_raise(tmp_path):
    """Many names of the same 4 MB: in total more than the file."""
    content = b'\x80\x02}'
    for number in range(50):
        storage = b'(' + text('storage') + named('torch.FloatStorage') + text(str(number))
        storage += text('cpu') + b'J' + struct.pack('<i', 10**6) + b'tQ'
        rest = b'K\x00' + numbers((4,)) + numbers((1,)) + b'\x89)'
        built = named('torch._utils._rebuild_tensor_v2') + b'(' + storage + rest + b'tR'
        content += text(f'w{number}') + built + b's'
    with zipfile.ZipFile(tmp_path / 'overlap.pt', 'w') as archive:
        archive.writestr('archive/data.pkl', content + b'.')
        archive.writestr('archive/data/0', bytes(4 * 10**6))
        entry = archive.getinfo('archive/data/0')
        for number in range(1, 50):
            other = copy.copy(entry)
            other.filename = f'archive/data/{number}'
            archive.filelist.append(other)
            archive.NameToInfo[other.filename] = other
    with pytest.raises(ValueError, match=r'overlap\.pt'):
        read_weight_file(tmp_path / 'overlap.pt')


def test_entry_of_another_size_than_its_tensors_need_raises(tmp_path):
    write(tmp_path / 'long.pt', dictionary(tensor((1,), (1,), numel=3)), 'zip')
    with pytest.raises(ValueError, match=r'long\.pt.*archive/data/0.*\b16\b.*\b12\b'):
        read_weight_file(tmp_path / 'long.pt')


@pytest.mark.parametrize(
    'content',
    [b'Nr\xff\xff\xff\x0f.', b'Np268435455\n.', b'\x80\x02X\3\0\0\0abcq\x01r\xff\xff\xff\x0f.'],
    ids=['binary', 'text', 'later'],
)
@pytest.mark.parametrize('kind', ['raw', *FORMATS])
def test_memo_takes_no_memory(content, kind, tmp_path):
    if kind == 'raw':
        (tmp_path / 'memo.pt').write_bytes(content)
    else:
        write(tmp_path / 'memo.pt', content, kind)
    megabytes, message = peak_of(lambda: read_weight_file(tmp_path / 'memo.pt'))
    assert 'memo.pt' in message
    assert '268435455' in message
    assert megabytes < 50


@pytest.mark.parametrize('protocol', [0, 1, 2, 3, 4, 5])
def test_memo_of_a_valid_pickle_passes(protocol):
    shared = ['a' * 300, 'b', (1, 2), 10**30, 1.5, b'\n', -1, 'é\n']
    value = [
        dict(
            a=shared,
            b=[shared] * 3,
            c=list(range(600)),
            d={1, 'x'},
            **{f'k{i}': [i] for i in range(400)},
        )
    ]
    file = io.BytesIO(b'..' + pickle.dumps(value, protocol) + b'rest')
    file.seek(2)
    check_sizes(file)
    assert file.tell() == 2


@pytest.mark.parametrize(
    'header',
    [
        struct.pack('<Q', 2**62) + b'{}',
        struct.pack('<Q', 10**8 + 1) + b'{}',
        b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}',
        b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4]}}',
        b'{"a":' + b'[' * 100_000 + b'}',
        b'\xff\xfe{}',
    ],
    ids=['length', 'too long', 'offsets', 'shape', 'deep', 'encoding'],
)
def test_safetensors_header_takes_no_memory(header, tmp_path):
    if not header.startswith((struct.pack('<Q', 2**62), struct.pack('<Q', 10**8 + 1))):
        header = struct.pack('<Q', len(header)) + header
    (tmp_path / 'x.safetensors').write_bytes(header + bytes(4))
    megabytes, message = peak_of(lambda: read_weight_file(tmp_path / 'x.safetensors'))
    assert 'x.safetensors: not a valid' in message
    assert megabytes < 50


def test_folder_as_a_file_raises(tmp_path):
    with pytest.raises(IsADirectoryError, match=rf'{tmp_path}: .*folder.*local-dir:'):
        read_weight_file(tmp_path)


def test_array_of_a_structure_is_refused(tmp_path):
    """A pickle sets the layout of a structure, objects at any address among it."""
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(np.zeros(2, [('a', 'f4')])))
    with pytest.raises(ValueError, match=r'a\.pkl.*V4'):
        load_pickle(tmp_path / 'a.pkl', ARRAYS, 'arrays')


@pytest.mark.parametrize('protocol', [0, 2, 5])
@pytest.mark.parametrize('kind', ['<f8', '>f8', '>i2', '<U2', '>U2', 'S3', '?', 'O'])
def test_arrays_of_either_byte_order_are_read(kind, protocol, tmp_path):
    written = np.array([[1, 2], [3, 0]]).astype(kind)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps([written, written.T], protocol))
    for found, expected in zip(
        load_pickle(tmp_path / 'a.pkl', ARRAYS, 'arrays'), [written, written.T], strict=True
    ):
        assert type(found) is np.ndarray
        assert found.tolist() == expected.tolist()


class Call:
    """Is pickled as a call, and perhaps a state."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


_RECONSTRUCT = np.empty(1).__reduce__()[:2]


@pytest.mark.parametrize(
    'value',
    [
        Call(np.ndarray, ((10**9,), 'O')),
        Call(np.ndarray, ((10**9,),)),
        Call(bytes, (10**9,)),
        Call(_RECONSTRUCT[0], (np.ndarray, (10**9,), b'b'), (1, (2,), np.dtype('f8'), False, b'')),
        Call(*_RECONSTRUCT, (1, (3,), np.dtype('O'), False, ['a', 'b'])),
        Call(*_RECONSTRUCT, (1, (2,), np.dtype('f8'), False, b'12345678')),
        Call(*_RECONSTRUCT, (1, (-1,), np.dtype('f8'), False, b'')),
        Call(*_RECONSTRUCT, (1, (1,), np.dtype('f8'), False, [1.0])),
        [Call(np.dtype, ('f8',), (3, '<', None, ('a',), {'a': 1}, 8, 8, 63))],
    ],
)
def test_false_arrays_are_refused(value, tmp_path):
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(value, 2))
    megabytes, message = peak_of(lambda: load_pickle(tmp_path / 'a.pkl', ARRAYS, 'arrays'))
    assert 'a.pkl is not a valid pickle' in message
    assert megabytes < 50


@pytest.mark.parametrize('kind', ['zip', 'old'])
def test_state_of_a_tensor_is_refused(kind, tmp_path):
    """`Tensor.__setstate__` enlarges the storage to any size."""

    class Grown(torch.Tensor):
        def __reduce_ex__(self, protocol):
            plain = self.as_subclass(torch.Tensor)
            call, arguments = plain.__reduce_ex__(protocol)[:2]
            return call, arguments, (plain._typed_storage(), 0, (10**9,), (1,))

    path = tmp_path / 'x.pt'
    torch.save(
        {'a': torch.ones(2).as_subclass(Grown)}, path, _use_new_zipfile_serialization=kind == 'zip'
    )
    megabytes, message = peak_of(lambda: read_weight_file(path))
    assert 'x.pt' in message
    assert 'state on a tensor' in message
    assert megabytes < 50


def test_invalid_archives_raise(tmp_path):
    content = dictionary(tensor((4,), (1,)))
    write(tmp_path / 'big.pt', content, 'zip', [('archive/byteorder', 'big')])
    with pytest.raises(ValueError, match=r'big\.pt.*little.*big'):
        read_weight_file(tmp_path / 'big.pt')
    with zipfile.ZipFile(tmp_path / 'notes.pt', 'w') as archive:
        archive.writestr('readme.txt', 'no weights')
    with pytest.raises(ValueError, match=r'notes\.pt.*data\.pkl'):
        read_weight_file(tmp_path / 'notes.pt')


def test_tar_is_not_unpacked(tmp_path):
    """The oldest of torch's formats; a link in it would be followed."""
    with tarfile.open(tmp_path / 'oldest.pt', 'w') as archive:
        link = tarfile.TarInfo('storages')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/hostname'
        archive.addfile(link)
    with pytest.raises(ValueError, match=r'oldest\.pt.*\btar\b'):
        read_weight_file(tmp_path / 'oldest.pt')


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32]
DTYPES += [torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64]


@pytest.mark.parametrize('zipped', [True, False])
def test_files_of_torch_are_read_unchanged(zipped, tmp_path):
    """Every type, views that share memory, parameters, scalars, empty and single entries."""
    base = torch.arange(24).float().view(4, 6)
    content = {str(dtype): torch.tensor([[0, 1, 1]]).to(dtype) for dtype in DTYPES}
    content |= dict(view=base[1:3, ::2], turned=base.T, scalar=torch.tensor(2.5))
    content |= dict(empty=torch.zeros(0, 3), one=torch.ones(1, 1, 1))
    content |= dict(parameter=nn.Parameter(base), state=OrderedDict(a=base), epoch=3, name='é')
    content['state']._metadata = {'version': 1}
    torch.save(content, tmp_path / 'é.pt', _use_new_zipfile_serialization=zipped)
    found = read_weight_file(tmp_path / 'é.pt')
    assert found.keys() == content.keys()
    assert (found['epoch'], found['name']) == (3, 'é')
    content['a'], found['a'] = content['state']['a'], found['state']['a']
    for key, value in content.items():
        if isinstance(value, torch.Tensor):
            assert found[key].dtype == value.dtype, key
            assert torch.equal(found[key], value), key


@pytest.mark.parametrize('content', [[torch.ones(1)], torch.ones(1)])
def test_content_that_is_not_a_dictionary_raises(content, tmp_path):
    torch.save(content, tmp_path / 'list.pt')
    with pytest.raises(ValueError, match=rf'list\.pt.*{type(content).__name__}'):
        read_weight_file(tmp_path / 'list.pt')
