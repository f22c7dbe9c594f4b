"""A file written by way of `atomic_write` is the old one or the new one, whatever goes wrong."""

import os
import random
import stat

import pytest

from clipself_mm.io.atomic_write import PARTIAL, atomic_write, remove_partial_files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(path, error):
    with atomic_write(path) as part, part.open('w') as file:
        file.write('half')
        file.flush()
        assert part.read_text() == 'half'
        raise error


@pytest.mark.parametrize('durable', [False, True])
def test_file_appears_at_the_end(tmp_path, durable):
    path = tmp_path / 'a' / 'b.json'
    for content in ('first', 'second'):
        before = path.read_text() if path.exists() else None
        with atomic_write(str(path), durable) as part:
            part.write_text(content)
            assert part.parent == path.parent
            assert (path.read_text() if path.exists() else None) == before
        assert path.read_text() == content
        assert names(path.parent) == ['b.json']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_failed_write_keeps_the_old_file(tmp_path, error):
    path = tmp_path / 'b.json'
    path.write_text('old')
    for target in (path, tmp_path / 'new.json'):
        with pytest.raises(error, match='in the middle'):
            write_half(target, error('in the middle'))
        assert path.read_text() == 'old'
        assert names(tmp_path) == ['b.json']


def test_failed_rename_keeps_the_old_file(tmp_path):
    (tmp_path / 'b.json').mkdir()
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path / 'b.json') as part:
        part.write_text('new')
    assert names(tmp_path) == ['b.json']
    (tmp_path / 'c.json').write_text('old')
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / 'c.json'):
        pass  # a block that writes nothing
    assert (tmp_path / 'c.json').read_text() == 'old'


def test_concurrent_writes_do_not_interfere(tmp_path):
    path = tmp_path / 'b.json'
    random.seed(0)
    with atomic_write(path) as one:
        one.write_text('one')
        random.seed(0)
        with atomic_write(path) as other:
            other.write_text('other')
            assert one.read_text() == 'one'
        assert path.read_text() == 'other'
    assert path.read_text() == 'one'
    assert names(tmp_path) == ['b.json']


@pytest.mark.parametrize(('mask', 'mode'), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, mask, mode):
    previous = os.umask(mask)
    try:
        with atomic_write(tmp_path / 'b.json', durable=True) as part:
            part.write_text('new')
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / 'b.json').stat().st_mode) == mode


def test_only_a_durable_write_calls_fsync(tmp_path, monkeypatch):
    path = tmp_path / 'b.json'

    def full(descriptor):
        raise OSError('No space left')

    monkeypatch.setattr(os, 'fsync', full)
    with atomic_write(path) as part:
        part.write_text('old')
    with pytest.raises(OSError, match='No space left'), atomic_write(path, durable=True) as part:
        part.write_text('new')
    assert path.read_text() == 'old'
    assert names(tmp_path) == ['b.json']


def test_partial_file_has_another_suffix_and_can_be_removed(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    with atomic_write(path) as part:
        part.write_text('half')
        assert part.name.endswith(PARTIAL)
        assert list(tmp_path.glob('*.pth')) == []
        part.with_name(f'last_checkpoint{PARTIAL}').touch()
        (tmp_path / 'epoch_2.pth').touch()
        (tmp_path / 'epoch_2.pth.part').touch()
        removed = remove_partial_files(tmp_path)
        assert removed == [part, tmp_path / f'last_checkpoint{PARTIAL}']
        assert names(tmp_path) == ['epoch_2.pth', 'epoch_2.pth.part']
        part.write_text('whole')
    assert path.read_text() == 'whole'
    assert remove_partial_files(tmp_path / 'none') == []
