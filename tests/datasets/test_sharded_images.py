"""Tar shards: written, counted, streamed, split over processes and workers, and resumed."""

import io
import json
import pickle
import tarfile
from collections import Counter
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from clipself_mm.datasets import (
    ImageReadError,
    InfiniteShardSampler,
    SeededIndex,
    ShardedImages,
    ShardSampler,
)
from clipself_mm.datasets.samplers.shard_sampler import LaneIndex
from clipself_mm.datasets.sharded.index import Shard, index_folder, read_index
from clipself_mm.datasets.sharded.order import interleave, segments, shard_order, share
from clipself_mm.datasets.sharded.reading import ShardWindow, shard_images
from clipself_mm.datasets.sharded.writing import write_shards
from tests.datasets.coco_files import photo, training_pipeline

pytest.importorskip('webdataset', reason='the extra wds is not installed')


def png(number):
    buffer = io.BytesIO()
    photo(20 + number % 5, 20, number).save(buffer, 'PNG')
    return buffer.getvalue()


def write_tar(path, members):
    """A tar file of (name, bytes), made by the standard library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w') as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path):
    """Shards of 5, 3 and 4 images, with text files between them, and their index."""
    number = 0
    for shard, count in enumerate((5, 3, 4)):
        members = []
        for _ in range(count):
            members += [(f'{number}.txt', b'a caption'), (f'{number}.png', png(number))]
            number += 1
        write_tar(tmp_path / f'{shard}.tar', [*members, ('lonely.txt', b'no picture')])
    index_folder(tmp_path)
    return tmp_path


def build(folder, **kwargs):
    kwargs.setdefault('pipeline', training_pipeline(dict(type='GridRegions', max_split=2)))
    return ShardedImages(source=str(folder / 'index.json'), **kwargs)


def test_index_has_the_number_of_images_per_shard(folder):
    assert read_index(str(folder / 'index.json')) == [
        Shard('0.tar', 5),
        Shard('1.tar', 3),
        Shard('2.tar', 4),
    ]


def test_every_index_returns_its_image(folder):
    dataset = build(folder)
    assert len(dataset) == 12
    for index in (0, 4, 5, 7, 8, 11, 3):
        info = dataset.get_data_info(index)
        shard = 0 if index < 5 else 1 if index < 8 else 2
        assert info['img_id'] == f'{shard}.tar/{index}'
        assert info['img_path'] == f'{shard}.tar/{index}.png'
        assert info['img_bytes'] == png(index)
    assert dataset.get_data_info(-1)['img_id'] == '2.tar/11'
    sample = dataset[SeededIndex(7, seed=1, number=2)]['data_samples']
    assert (sample.img_id, sample.rng_key, sample.ori_shape) == ('1.tar/7', (1, 2, 7), (20, 22))
    assert pickle.loads(pickle.dumps(dataset)).get_data_info(7)['img_id'] == '1.tar/7'


def test_window_reads_sequentially_and_keeps_images(folder):
    window = ShardWindow(str(folder / '0.tar'), 5, window=2)
    assert [window[place].key for place in (1, 0, 1, 3, 2)] == ['1', '0', '1', '3', '2']
    assert window.openings == 1
    assert window[0].key == '0'  # forgotten: the shard is begun once more
    assert window.openings == 2
    with pytest.raises(IndexError):
        window[5]


def test_shard_of_a_command(folder):
    dataset = build(folder, data_prefix=dict(img=f'pipe:cat {folder}/{{}}'))
    assert dataset.get_data_info(6)['img_bytes'] == png(6)
    assert dataset.get_data_info(8)['img_bytes'] == png(8)
    url = build(folder, data_prefix=dict(img='https://host/x/'), data_root='data').locate('0.tar')
    assert url == 'https://host/x/0.tar'
    below = build(folder, data_prefix=dict(img='x'), data_root=str(folder)).locate('0.tar')
    assert below == str(folder / 'x' / '0.tar')


DOTS = ('a', 'scan.v2', 'IMG.1', 'IMG.2', '22.05', 'B', 'dir.v1/x')


@pytest.mark.slow
def test_names_with_dots_lose_no_image(tmp_path, caplog):
    """The members of a public report; WebDataset's split at the first dot leaves 4 of 7."""
    names = ['a.jpg', 'scan.v2.jpg', 'IMG.1.jpg', 'IMG.2.jpg', '22.05.png', 'B.JPG', '._a.jpg']
    names += ['dir.v1/x.jpg', 'a.jpg', 'notes.txt']
    contents = [png(number) for number in range(len(names))]
    write_tar(tmp_path / '0.tar', zip(names, contents, strict=True))
    assert index_folder(tmp_path) == [Shard('0.tar', 7)]
    assert '1 files are not used: a.jpg (a second image a)' in caplog.text
    found = [build(tmp_path).get_data_info(index) for index in range(7)]
    assert [info['img_id'] for info in found] == [f'0.tar/{name}' for name in DOTS]
    assert [info['img_bytes'] for info in found] == [*contents[:6], contents[7]]
    assert found[4]['img_path'] == '0.tar/22.05.png'


def test_other_images_of_a_sample_are_not_images_of_their_own(tmp_path):
    names = ['0.depth.png', '0.jpg', '0.seg.png', '1.png', '1.JPG', 'x.txt', '0.late.png']
    names += ['2.left.jpg', '2.right.jpg', '.hidden.png']
    path = write_tar(tmp_path / '0.tar', [(name, name.encode()) for name in names])
    with tarfile.open(path, 'a') as archive:
        link = tarfile.TarInfo('3.png')
        link.type, link.linkname = tarfile.LNKTYPE, '1.png'
        archive.addfile(link)
    left_out = []
    found = {image.key: image.content for image in shard_images(str(path), left_out=left_out)}
    assert found == {
        '0': b'0.jpg',
        '1': b'1.JPG',
        '2.left': b'2.left.jpg',
        '2.right': b'2.right.jpg',
    }
    assert [text.split(' (')[0] for text in left_out] == [
        '0.depth.png',
        '0.seg.png',
        '1.png',
        '0.late.png',
        '.hidden.png',
        '3.png',
    ]
    masks = shard_images(str(path), suffixes=('seg.png',))
    assert [(image.key, image.content) for image in masks] == [('0', b'0.seg.png')]


def test_shard_with_more_images_than_the_index_raises(folder):
    index = json.loads((folder / 'index.json').read_text())
    index[0]['pictures'] = 4
    (folder / 'index.json').write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r'0\.tar.*\b4\b.*more.*make_shards'):
        build(folder).get_data_info(3)


@pytest.mark.parametrize(
    'name',
    ['x.tar; touch ran', '$(touch ran)', '`touch ran`', "x'; touch ran; '", '-x.tar', 'a b.tar'],
)
@pytest.mark.parametrize('command', ['pipe:cat {}', "pipe:cat '{}'", 'pipe:cat "{}"'])
def test_shard_names_run_no_command(name, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('index.json').write_text(json.dumps([dict(file=name, pictures=1)]))
    with pytest.raises(ValueError, match=r'index\.json.*letters, digits'):
        ShardedImages(source='index.json', data_prefix=dict(img=command), pipeline=[])[0]
    assert not Path('ran').exists()
    with pytest.raises(ValueError, match=r'index\.json.*letters, digits'):
        read_index('index.json', location='https://host/shards')


@pytest.mark.parametrize(
    'name', ['pipe:touch ran', '../x.tar', '/x.tar', 'a/../../x.tar', 'x\n.tar']
)
def test_shard_names_stay_below_their_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('index.json').write_text(json.dumps([dict(file=name, pictures=1)]))
    for prefix in (None, dict(img='')):
        with pytest.raises(ValueError, match=r'index\.json.*below the folder'):
            ShardedImages(source='index.json', data_prefix=prefix, pipeline=[])[0]
    assert not Path('ran').exists()


@pytest.mark.slow
def test_broken_shards_and_indices_raise(folder):
    whole = (folder / '1.tar').read_bytes()
    (folder / '1.tar').write_bytes(whole[: whole.index(png(7)) + 100])
    with pytest.raises(ValueError, match=r'1\.tar'):
        build(folder)[7]
    write_tar(folder / '1.tar', [('5.png', png(5))])
    with pytest.raises(ValueError, match=r'1\.tar.*\b3\b.*\b1\b'):
        build(folder)[7]
    (folder / '1.tar').unlink()
    with pytest.raises(FileNotFoundError, match=r'1\.tar'):
        build(folder)[7]
    (folder / 'index.json').write_text('[{"file": "0.tar"}]')
    with pytest.raises(ValueError, match=r'index\.json.*"file".*"pictures"'):
        build(folder)
    (folder / 'index.json').write_text('[{"file": "0.tar", "pictures": 0}]')
    with pytest.raises(ValueError, match=r'index\.json.*picture'):
        build(folder)
    (folder / 'index.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'make_shards\.py'):
        build(folder)
    with pytest.raises(ValueError, match=r'ShardedImages.*indices'):
        build(folder, indices=3)


def test_corrupt_image_is_replaced_by_the_next(folder):
    write_tar(folder / '1.tar', [('5.png', png(5)), ('6.png', b'broken'), ('7.png', png(7))])
    with pytest.raises(ImageReadError, match=r'1\.tar/6\.png'):
        build(folder)[SeededIndex(6)]
    dataset = build(folder, on_bad_image='skip')
    assert dataset[SeededIndex(6)]['data_samples'].img_id == '1.tar/7'
    assert dataset.bad_images == {'1.tar/6.png'}


# The order.


def test_shares_and_segments_by_hand():
    assert [share(11, part, 3) for part in range(3)] == [(0, 3), (3, 7), (7, 11)]
    counts = np.array([5, 3, 4])  # in the line: shard 2 (8-11), shard 0 (0-4), shard 1 (5-7)
    assert list(segments(counts, [2, 0, 1], 0, 12)) == [(8, 4), (0, 5), (5, 3)]
    assert list(segments(counts, [2, 0, 1], 3, 7)) == [(11, 1), (0, 3)]
    assert list(segments(counts, [2, 0, 1], 5, 7)) == [(1, 2)]
    assert list(segments(counts, [2, 0, 1], 4, 4)) == []


def test_interleave_by_hand():
    def run(start, *lanes):
        return ''.join(item for item, _ in interleave([iter(lane) for lane in lanes], 2, start))

    assert run(0, 'abcd', 'ABCD') == 'abABcdCD'
    assert run(2, 'abcd', 'ABCD') == 'ABabCDcd'  # one batch before: the second lane's turn
    assert run(1, 'abcd', 'ABCD') == 'aABbcCDd'  # half a batch before: it is completed first
    assert run(0, 'a', 'ABCD') == 'aABCD'
    assert run(0, 'ab', '') == 'ab'
    lanes = [number for _, number in interleave([iter('ab'), iter('AB')], 1, 0)]
    assert lanes == [0, 1, 0, 1]


@pytest.mark.parametrize('lanes', [1, 3])
@pytest.mark.parametrize('world_size', [1, 2, 5])
def test_processes_and_lanes_share_every_image_once(world_size, lanes):
    counts = np.array([5, 3, 4, 1, 20, 2])
    options = dict(world_size=world_size, lanes=lanes, batch_size=2, window=4)
    passes = []
    for number in range(2):
        indices = [
            [index for index, _ in shard_order(counts, 7, number, rank=rank, **options)]
            for rank in range(world_size)
        ]
        assert Counter(chain(*indices)) == Counter(range(35))
        assert max(map(len, indices)) - min(map(len, indices)) <= 1
        passes.append(indices)
    assert passes[0] != passes[1]


def test_one_lane_without_shuffling_is_in_order():
    order = shard_order(np.array([2, 3]), 0, 0, shuffle=False)
    assert list(order) == [(index, 0) for index in range(5)]


@pytest.mark.parametrize('lanes', [1, 2, 4])
def test_a_lane_opens_each_shard_once(folder, lanes, monkeypatch):
    """A lane opens each shard once, with `window` images in memory."""
    opened = []
    real = ShardWindow._open
    monkeypatch.setattr(ShardWindow, '_open', lambda self: (opened.append(self.url), real(self)))
    dataset = build(folder, window=2)
    indices = list(ShardSampler(dataset, batch_size=2, lanes=lanes, seed=3))
    assert sorted(indices) == list(range(12))
    for index in indices:
        dataset[index]
    pieces = len(
        {(index.lane, int(np.searchsorted([5, 8, 12], index, 'right'))) for index in indices}
    )
    assert len(opened) == pieces <= 3 + lanes - 1


def test_epochs_are_padded_to_equal_length(folder, monkeypatch):
    dataset = build(folder)
    indices = []
    for rank in range(5):
        monkeypatch.setattr(
            'clipself_mm.datasets.samplers.shard_sampler.get_dist_info',
            lambda rank=rank: (rank, 5),
        )
        sampler = ShardSampler(dataset, lanes=2, seed=1)
        sampler.set_epoch(4)
        own = list(sampler)
        assert len(own) == len(sampler) == 3
        assert {index.key for index in own} == {(1, 4, int(index)) for index in own}
        indices += own
    assert set(indices) == set(range(12))
    assert len(indices) == 15


def test_samplers_raise_for_unsuitable_datasets(folder, monkeypatch):
    with pytest.raises(TypeError, match=r'ShardedImages.*list'):
        ShardSampler([1, 2, 3])
    monkeypatch.setattr(
        'clipself_mm.datasets.samplers.shard_sampler.get_dist_info', lambda: (0, 13)
    )
    with pytest.raises(ValueError, match=r'index\.json.*\b12\b.*\b13\b'):
        ShardSampler(build(folder))


def test_lane_index_can_be_pickled():
    index = pickle.loads(pickle.dumps(LaneIndex(5, seed=1, number=2, lane=3)))
    assert (int(index), index.key, index.lane) == (5, (1, 2, 5), 3)


@pytest.mark.slow
@pytest.mark.parametrize('consumed', [0, 1, 11, 12, 13, 31])
@pytest.mark.parametrize('lanes', [1, 3])
def test_skip_continues_the_stream(folder, consumed, lanes):
    def stream():
        return InfiniteShardSampler(build(folder), batch_size=5, lanes=lanes, seed=2)

    unbroken = [(index.key, index.lane) for index in islice(stream(), 40)]
    for number in range(3):
        keys = [key for key, _ in unbroken[12 * number : 12 * number + 12]]
        assert sorted(keys) == [(2, number, index) for index in range(12)]
    resumed = stream()
    resumed.skip(consumed)
    rest = [(index.key, index.lane) for index in islice(resumed, 40 - consumed)]
    assert rest == unbroken[consumed:]


def batches(dataset, number, **options):
    sampler = InfiniteShardSampler(dataset, batch_size=2, lanes=2, seed=5)
    loader = DataLoader(
        dataset, batch_size=2, sampler=sampler, collate_fn=pseudo_collate, **options
    )
    return [
        [
            (sample.img_id, sample.rng_key, sample.regions.boxes_px.tolist(), int(image.sum()))
            for sample, image in zip(b['data_samples'], b['inputs']['image'], strict=True)
        ]
        for b in islice(loader, number)
    ]


@pytest.mark.slow
def test_batches_do_not_depend_on_workers(folder):
    alone = batches(build(folder), 8)
    assert batches(build(folder), 8, num_workers=2) == alone
    options = dict(num_workers=2, persistent_workers=True)
    used = build(folder)
    used[3]  # a shard that is open when the workers are forked
    assert batches(used, 8, **options) == alone


# Writing.


@pytest.fixture
def photos(tmp_path):
    names = []
    for number in range(5):
        path = tmp_path / 'photos' / f'sub.{number % 2}' / f'{number}.v1.PNG'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
        names.append(path.relative_to(tmp_path / 'photos').as_posix())
    return tmp_path / 'photos', names


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_have_the_images_byte_for_byte(photos, tmp_path):
    root, names = photos
    shards = write_shards(root, names, tmp_path / 'out', size=2, seed=1)
    assert [shard.images for shard in shards] == [2, 2, 1]
    assert read_index(str(tmp_path / 'out/index.json')) == shards
    stored = [p for s in shards for p in shard_images(str(tmp_path / 'out' / s.file))]
    assert sorted(p.content for p in stored) == sorted(png(number) for number in range(5))
    assert [p.key for p in stored] != sorted(p.key for p in stored)
    with tarfile.open(tmp_path / 'out/000000.tar') as archive:
        member = next(m for m in archive if m.name.endswith('json'))
        origin = json.load(archive.extractfile(member))
        picture = archive.extractfile(member.name.replace('json', 'png')).read()
    assert (root / origin['path']).read_bytes() == picture
    write_shards(root, names, tmp_path / 'same', size=2, seed=1)
    assert contents(tmp_path / 'same') == contents(tmp_path / 'out')


def test_killed_writing_is_continued(photos, tmp_path):
    root, names = photos
    write_shards(root, names, tmp_path / 'whole', size=2)
    moved = (root / names[0]).rename(root / 'away.png')  # the call fails at this picture
    with pytest.raises(FileNotFoundError):
        write_shards(root, names, tmp_path / 'out', size=2)
    assert not (tmp_path / 'out/index.json').exists()
    assert len(list((tmp_path / 'out').glob('*.tar'))) < 3
    left = tmp_path / 'out/000002.tar.0.clipself-partial'
    left.write_bytes(b'a piece')
    moved.rename(root / names[0])
    write_shards(root, names, tmp_path / 'out', size=2)
    assert contents(tmp_path / 'out') == contents(tmp_path / 'whole')


def test_folder_with_other_shards_raises(photos, tmp_path):
    root, names = photos
    write_shards(root, names, tmp_path / 'out', size=2)
    for others, size in ((names[1:], 2), (names, 3)):
        asked = rf"plan\.json.*'pictures': 5, 'size': 2.*'pictures': {len(others)}, 'size': {size}"
        with pytest.raises(ValueError, match=asked):
            write_shards(root, others, tmp_path / 'out', size=size)
    write_tar(tmp_path / 'foreign/0.tar', [('0.png', png(0))])
    with pytest.raises(ValueError, match=r'/foreign'):
        write_shards(root, names, tmp_path / 'foreign', size=2)
    with pytest.raises(ValueError, match=r'a\.txt.*jpg, jpeg, png'):
        write_shards(root, ['a.txt'], tmp_path / 'text', size=2)


def test_the_tool_writes_and_counts(photos, tmp_path, run_tool, capsys):
    root, names = photos
    out = tmp_path / 'out'

    def run(*words):
        run_tool('make_shards', *words)
        return capsys.readouterr().out

    assert '5 images in 2 shards' in run(root, out, '--size', 4)
    written = contents(out)
    (out / 'index.json').unlink()
    assert '5 images in 2 shards' in run('--index', out)
    assert contents(out) == written
    (tmp_path / 'list.txt').write_text('\n'.join(names[:3]))
    assert '3 images in 1 shards' in run(tmp_path / 'list.txt', tmp_path / 'other', '--root', root)
    with pytest.raises(SystemExit, match=r'\*\.tar'):
        run('--index', root)
