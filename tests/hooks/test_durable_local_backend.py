import errno
import os

import pytest

from clipself_mm.hooks.durable_checkpoint_hook import DurableLocalBackend


def test_writes_into_a_new_folder(tmp_path):
    target = tmp_path / 'a' / 'b.pth'
    DurableLocalBackend().put(b'weights', str(target))
    assert target.read_bytes() == b'weights'
    DurableLocalBackend().put_text('größe', target)
    assert target.read_text(encoding='utf-8') == 'größe'
    assert [path.name for path in target.parent.iterdir()] == ['b.pth']


def test_bytes_are_on_disk_before_the_old_file_goes(tmp_path, monkeypatch):
    target = tmp_path / 'b.pth'
    target.write_bytes(b'old')
    events = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        events.append(('fsync', target.read_bytes()))
        fsync(descriptor)

    def noted_replace(source, destination):
        events.append(('replace', target.read_bytes()))
        replace(source, destination)

    monkeypatch.setattr(os, 'fsync', noted_fsync)
    monkeypatch.setattr(os, 'replace', noted_replace)
    DurableLocalBackend().put(b'new', target)
    assert events[:2] == [('fsync', b'old'), ('replace', b'old')]
    assert events[2:] in ([], [('fsync', b'new')])


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / 'b.pth'
    target.write_bytes(b'old')

    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        DurableLocalBackend().put(b'new', target)
    assert target.read_bytes() == b'old'
    assert [path.name for path in tmp_path.iterdir()] == ['b.pth']
