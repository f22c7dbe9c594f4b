"""A file written by way of `atomic_write` is the old one or the new one, whatever goes wrong."""

import errno
import os
import random
import re
import signal
import socket
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


def test_partial_file_has_another_suffix_and_stays_while_its_writer_lives(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    with atomic_write(path) as part:
        part.write_text('half')
        assert part.name.endswith(PARTIAL)
        assert list(tmp_path.glob('*.pth')) == []
        part.with_name(f'last_checkpoint{PARTIAL}').touch()
        (tmp_path / 'epoch_2.pth').touch()
        (tmp_path / 'epoch_2.pth.part').touch()
        assert remove_partial_files(tmp_path) == [tmp_path / f'last_checkpoint{PARTIAL}']
        assert names(tmp_path) == sorted(['epoch_2.pth', 'epoch_2.pth.part', part.name])
        part.write_text('whole')
    assert path.read_text() == 'whole'
    assert remove_partial_files(tmp_path / 'none') == []


def test_partial_files_of_dead_writers_are_removed(tmp_path):
    """A process that was killed, its id taken again, and a host that has not written for a day."""
    with atomic_write(tmp_path / 'a.pth') as mine:
        mine.touch()
        killed = leave_partial_file(tmp_path / 'b.pth')
        pid, start = re.search(r'-(\d+)-(\d+)@', mine.name).groups()
        reused = mine.with_name(mine.name.replace(f'-{pid}-{start}@', f'-{pid}-{int(start) - 1}@'))
        host = socket.gethostname()
        away, old = (mine.with_name(mine.name.replace(f'@{host}', f'@{n}')) for n in ('a1', 'a2'))
        for path in (reused, away, old):
            path.touch()
        os.utime(old, (0, 0))
        assert remove_partial_files(tmp_path) == sorted([killed, reused, old])
        assert names(tmp_path) == sorted([mine.name, away.name])


def leave_partial_file(path):
    """Start a write in a process that is killed in it; its temporary file."""
    child = os.fork()
    if child == 0:
        with atomic_write(path) as part:
            part.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it is a zombie until waitpid
    (part,) = path.parent.glob(f'{path.name}.*')
    os.waitpid(child, 0)
    return part


@pytest.mark.parametrize(('size', 'needed'), [(None, 'more than 4'), (1234567, '1,234,567')])
def test_a_full_disk_is_named_with_its_bytes(size, needed, tmp_path):
    def fill(part):
        part.write_text('half')
        try:
            raise OSError(errno.ENOSPC, 'No space left on device')
        except OSError as error:  # as torch.save does
            raise RuntimeError('unexpected pos 64 vs 0') from error

    path = tmp_path / 'b.json'
    path.write_text('old')
    match = re.escape(f'No space left for {path}: it needs {needed} bytes, ')
    match += '[0-9,]+ are free in ' + re.escape(str(tmp_path))
    with pytest.raises(OSError, match=match), atomic_write(path, size=size) as part:
        fill(part)
    assert path.read_text() == 'old'
    assert names(tmp_path) == ['b.json']
