"""Folders and list files of images: content, order and errors."""

import os

import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from clipself_mm.datasets import (
    ImageReadError,
    ImageRegions,
    SeededIndex,
    SeededSampler,
    UnlabelledImages,
)
from clipself_mm.datasets.annotations.image_listing import read_listing, scan_images, write_listing
from tests.datasets.coco_files import photo, training_pipeline, write_images, write_json


@pytest.fixture
def folder(tmp_path):
    """Images in two folders, an upper-case extension, a text, links to a folder and a parent."""
    root = tmp_path / 'photos'
    for number, name in enumerate(('b/2.png', 'b/10.JPG', 'a.jpeg', '#odd.png')):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        photo(30 + number, 20, number).convert('RGB').save(
            root / name, 'JPEG' if name.lower().endswith(('jpg', 'jpeg')) else 'PNG'
        )
    (root / 'notes.txt').write_text('no picture')
    for name in ('._a.jpeg', 'b/._2.png'):  # macOS: the attributes of a file
        (root / name).write_bytes(b'\0\5\x16\7')
    (tmp_path / 'elsewhere').mkdir()
    photo(25, 25).save(tmp_path / 'elsewhere' / 'c.png')
    (root / 'link').symlink_to(tmp_path / 'elsewhere')
    (root / 'b' / 'up').symlink_to(root)
    return root


NAMES = ['#odd.png', 'a.jpeg', 'b/10.JPG', 'b/2.png', 'link/c.png']


def build(source, **kwargs):
    pipeline = training_pipeline(dict(type='GridRegions', max_split=2))
    return UnlabelledImages(source=str(source), pipeline=pipeline, **kwargs)


def test_folder_is_searched_recursively(folder):
    assert scan_images(folder) == NAMES
    assert scan_images(folder, ('.jpeg',)) == ['a.jpeg']
    dataset = build('photos', data_root=str(folder.parent))
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == NAMES
    sample = dataset[SeededIndex(3, seed=1, number=2)]['data_samples']
    assert sample.img_path == str(folder / 'b/2.png')
    assert sample.ori_shape == (20, 30)
    assert sample.rng_key == (1, 2, 3)
    assert len(sample.regions.boxes_px) >= 1


def test_list_keeps_its_order_in_a_round_trip(folder, tmp_path):
    path = tmp_path / 'list.txt'
    write_listing(NAMES, path)
    assert read_listing(str(path)) == ['./#odd.png', *NAMES[1:]]
    path.write_text(f'# two of them\n\n  b/2.png \r\n{folder}/a.jpeg\n')
    dataset = build('list.txt', data_root=str(tmp_path), data_prefix=dict(img='photos/'))
    assert [dataset.get_data_info(i)['img_path'] for i in range(2)] == [
        str(folder / 'b/2.png'),
        str(folder / 'a.jpeg'),
    ]
    assert dataset[0]['data_samples'].img_id == 'b/2.png'


def test_names_that_are_not_utf8_survive_the_round_trip(tmp_path):
    name = os.fsdecode(b'caf\xe9.png')
    write_listing([name], tmp_path / 'list.txt')
    assert read_listing(str(tmp_path / 'list.txt')) == [name]


@pytest.mark.parametrize('name', ['a\nb.png', ' a.png', 'a.png\r', ''])
def test_name_that_does_not_fit_on_one_line_raises(tmp_path, name):
    with pytest.raises(ValueError, match=r'list\.txt') as caught:
        write_listing([name], tmp_path / 'list.txt')
    assert repr(name) in str(caught.value)
    assert not (tmp_path / 'list.txt').exists()


def test_missing_and_empty_sources_raise(tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty.txt').write_text('# nothing\n')
    photo(5, 5).save(tmp_path / 'picture.png')
    with pytest.raises(ValueError, match=r'empty.*\.jpg, \.jpeg'):
        build(tmp_path / 'empty')
    with pytest.raises(ValueError, match=r'empty\.txt'):
        build(tmp_path / 'empty.txt')
    with pytest.raises(ValueError, match=r'picture\.png'):
        build(tmp_path / 'picture.png')
    with pytest.raises(FileNotFoundError, match='absent'):
        build(tmp_path / 'absent')
    with pytest.raises(NotADirectoryError, match='absent'):
        scan_images(tmp_path / 'absent')
    with pytest.raises(ValueError, match=r"extensions.*'.png'"):
        build(tmp_path, extensions='.png')


def test_corrupt_image_is_skipped_or_raises(folder):
    (folder / 'a.jpeg').write_bytes(b'broken')
    with pytest.raises(ImageReadError, match=r'a\.jpeg'):
        build(folder)[SeededIndex(1)]
    dataset = build(folder, on_bad_image='skip')
    assert dataset[SeededIndex(1, seed=3)]['data_samples'].img_id == 'b/10.JPG'
    assert dataset.bad_images == {str(folder / 'a.jpeg')}


def regions_of(dataset, epoch):
    sampler = SeededSampler(dataset, seed=5)
    sampler.set_epoch(epoch)
    loader = DataLoader(dataset, batch_size=2, sampler=sampler, collate_fn=pseudo_collate)
    return [
        (os.path.basename(sample.img_path), sample.rng_key, sample.regions.boxes_px.tolist())
        for batch in loader
        for sample in batch['data_samples']
    ]


def test_regions_are_the_same_as_with_a_json(tmp_path):
    images = write_images(tmp_path / 'photos', [(30, 20), (20, 30), (25, 25)])
    labelled = ImageRegions(
        ann_file=write_json(tmp_path / 'a.json', images=images),
        data_prefix=dict(img=str(tmp_path / 'photos')),
        pipeline=training_pipeline(dict(type='GridRegions', max_split=2)),
    )
    for epoch in (0, 3):
        assert regions_of(build(tmp_path / 'photos'), epoch) == regions_of(labelled, epoch)


def test_the_tool_writes_what_the_data_set_reads(folder, tmp_path, run_tool, capsys):
    run_tool('list_images', folder, tmp_path / 'l.txt', '--relative-to', tmp_path)
    assert 'wrote 5 paths' in capsys.readouterr().out
    dataset = build('l.txt', data_root=str(tmp_path))
    assert [dataset.get_data_info(i)['img_id'] for i in range(5)] == [
        f'photos/{name}' for name in NAMES
    ]
    assert dataset[2]['data_samples'].ori_shape == (20, 31)
    with pytest.raises(SystemExit, match='absent'):
        run_tool('list_images', 'absent', tmp_path / 'm.txt')
