"""The converter of the full ADE20K on a release of three pictures."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('mmseg')

from clipself_mm.segmentation import ADE847Dataset
from projects.ade847.labels import (
    convert_ade847,
    label_table,
    object_values,
    read_index,
    shared_names,
)

FILES = ['ADE_train_1.jpg', 'ADE_val_1.jpg', 'ADE_val_2.jpg']
FOLDERS = [
    'ADE20K_2021_17_01/images/ADE/training/urban/street',
    'ADE20K_2021_17_01/images/ADE/validation/urban/street',
    'ADE20K_2021_17_01/images/ADE/validation/nature/hill',
]
NAMES = [f'thing {number}' for number in range(900)]


def write_index(folder, **changes):
    presence = np.zeros((900, 3))
    presence[:847] = 1
    presence[850, 1:] = 2  # only in validation
    presence[860] = 1  # in both, as a part alone
    presence[879] = (3, 1, 0)
    parts = np.zeros((900, 3))
    parts[860] = 1
    content = dict(
        filename=FILES,
        folder=FOLDERS,
        objectnames=NAMES,
        objectPresence=presence,
        objectIsPart=parts,
    )
    path = folder / 'index_ade20k.pkl'
    path.write_bytes(pickle.dumps(content | changes))
    return path


@pytest.fixture
def release(tmp_path):
    """A release: every picture is 2 x 2 with value 0, 5, 880 and 847."""
    root = tmp_path / 'ADE20K_2021_17_01'
    for folder, name in zip(FOLDERS, FILES, strict=True):
        place = tmp_path / folder
        place.mkdir(parents=True)
        Image.new('RGB', (2, 2)).save(place / name)
        colours = np.zeros((2, 2, 3), np.uint8)
        colours[0, 1] = (0, 5, 17)
        colours[1, 0] = (39, 112, 0)  # the last digit of red says nothing
        colours[1, 1] = (30, 79, 255)
        Image.fromarray(colours).save(place / name.replace('.jpg', '_seg.png'))
    write_index(root)
    return root


def test_object_values_by_hand():
    colours = np.array([[[0, 5, 9], [39, 112, 0], [10, 0, 1]]], np.uint8)
    assert object_values(colours).tolist() == [[5, 880, 256]]


def test_index_does_not_count_parts(release):
    index = read_index(release / 'index_ade20k.pkl')
    assert index.images[0] == f'{FOLDERS[0]}/{FILES[0]}'
    assert index.validation.tolist() == [False, True, True]
    assert index.whole[850].tolist() == [0, 2, 2]
    assert index.whole[860].tolist() == [0, 0, 0]
    names = shared_names(index)
    assert names == [*NAMES[:847], NAMES[879]]  # three images each, the last in two


def test_label_table_by_hand(release):
    index = read_index(release / 'index_ade20k.pkl')
    table = label_table(index, ['thing 4', 'thing 0'])
    assert table.dtype == np.uint16
    assert table[:6].tolist() == [65535, 1, 65535, 65535, 65535, 0]
    with pytest.raises(ValueError, match=r"index_ade20k\.pkl.*\['tree'\]"):
        label_table(index, ['thing 4', 'tree'])


def test_data_set_reads_the_label_maps(release):
    index = read_index(release / 'index_ade20k.pkl')
    classes = NAMES[846::-1]  # label of object c is 846 - c
    assert convert_ade847(index, classes, release) == 2
    found = release / 'annotations_847/validation/urban/street/ADE_val_1.png'
    labels = np.asarray(Image.open(found))
    assert labels.tolist() == [[65535, 842], [65535, 0]]
    dataset = ADE847Dataset(
        classes_file=str(release / 'ade847.json'),
        data_root=str(release),
        data_prefix=dict(
            img_path='images/ADE/validation', seg_map_path='annotations_847/validation'
        ),
    )
    assert dataset.metainfo['classes'] == tuple(classes)
    assert [dataset.get_data_info(i)['seg_map_path'].split('/')[-2] for i in (0, 1)] == [
        'hill',
        'street',
    ]
    assert dataset.get_data_info(1)['seg_map_path'] == str(found)
    assert not (release / 'annotations_847/training').exists()


def test_wrong_number_of_classes_raises(release):
    index = read_index(release / 'index_ade20k.pkl')
    with pytest.raises(ValueError, match=r'\b847\b.*\b848\b.*--classes'):
        convert_ade847(index, shared_names(index), release)
    assert not (release / 'ade847.json').exists()


def test_files_of_a_different_release_raise(release):
    presence = np.zeros((900, 3))
    presence[:847, 0] = 1
    path = write_index(release, objectPresence=presence)
    with pytest.raises(ValueError, match=r"ADE_val_1_seg\.png.*'thing 4'.*index_ade20k\.pkl"):
        convert_ade847(read_index(path), NAMES[:847], release)


def test_missing_file_raises(release):
    (release / 'images/ADE/validation/nature/hill/ADE_val_2_seg.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'ADE_val_2_seg\.png.*index_ade20k\.pkl'):
        convert_ade847(read_index(release / 'index_ade20k.pkl'), NAMES[:847], release)


class Evil:
    def __reduce__(self):
        return print, ('run',)


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (pickle.dumps(Evil()), r'builtins\.print'),
        (b'broken', 'UnpicklingError'),
        (pickle.dumps([1]), r"'filename'.*'objectnames'.*\blist\b"),
    ],
)
def test_broken_index_raises(tmp_path, capsys, content, words):
    path = tmp_path / 'index_ade20k.pkl'
    with pytest.raises(FileNotFoundError, match=r'index_ade20k\.pkl'):
        read_index(path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf'index_ade20k\.pkl.*{words}'):
        read_index(path)
    assert 'run' not in capsys.readouterr().out


def test_data_set_without_classes_file_raises(tmp_path):
    path = tmp_path / 'ade847.json'
    with pytest.raises(FileNotFoundError, match=r'ade847\.json.*convert_ade847\.py'):
        ADE847Dataset(classes_file=str(path))
    path.write_text(json.dumps(dict(classes=NAMES[:846])))
    with pytest.raises(ValueError, match=r'ade847\.json.*\b847\b.*\b846\b'):
        ADE847Dataset(classes_file=str(path))


def test_convert_ade847_tool(release, tmp_path, run_tool, capsys):
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES[:847]))
    index = release / 'index_ade20k.pkl'
    run_tool('convert_ade847', index, '--classes', tmp_path / 'names.txt', '--out', tmp_path)
    shown = capsys.readouterr().out
    assert '2 label maps' in shown
    assert '847 class names' in shown
    assert json.loads((tmp_path / 'ade847.json').read_text())['classes'] == NAMES[:847]
    with pytest.raises(SystemExit, match=r'\b847\b.*\b848\b.*--classes'):
        run_tool('convert_ade847', index)
