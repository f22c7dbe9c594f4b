"""Labelling of a folder, a list and shards: every image once, after kills too."""

import json
import os
import shutil
import signal
import time
from multiprocessing import Event, Process
from pathlib import Path

import numpy as np
import pytest

from clipself_mm.datasets.sharded.writing import write_shards
from clipself_mm.labelling import Journal, open_source, write_broken
from tests.commands import ROOT, free_port
from tests.forks import Fork
from tests.labelling.folders import (
    BROKEN,
    NAMES,
    TEXTS,
    THRESHOLDS,
    contents,
    noise,
    run,
    run_tool,
)

FORMATS = ('coco', 'yolo', 'label-studio', 'csv')


def test_labels_are_those_of_the_detector(detector, photos, tmp_path):
    records = run(detector, photos, tmp_path / 'out', batch_size=1)
    found = detector([photos / name for name in NAMES], texts=TEXTS, score_thr=0.25)
    labelled = [*records]
    assert [image.name for image in labelled] == NAMES
    assert [image.index for image in labelled] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert sum(len(item) for item in found) > 30
    for image, expected in zip(labelled, found, strict=True):
        assert image.size == expected.size
        assert [TEXTS[label] for label in image.labels] == expected.names
        assert np.allclose(image.boxes, expected.boxes, atol=0.0051)
        assert np.allclose(image.scores, expected.scores, atol=1e-5)
    (broken,) = records.broken()
    assert broken.name == BROKEN
    assert 'decoded' in broken.broken
    assert detector.model.classes != TEXTS  # as before


def test_each_class_has_its_own_threshold(detector, photos, tmp_path):
    everything = [*run(detector, photos, tmp_path / 'all')]
    scores = [score for image in everything for score in image.scores]
    middle = float(np.median(scores))
    limits = dict(zip(TEXTS, (middle, 0.25), strict=True))
    kept = [*run(detector, photos, tmp_path / 'kept', thresholds=limits)]
    for before, after in zip(everything, kept, strict=True):
        expected = [
            (label, score)
            for label, score in zip(before.labels, before.scores, strict=True)
            if score >= limits[TEXTS[label]]
        ]
        assert [*zip(after.labels, after.scores, strict=True)] == expected
    assert sum(len(image.labels) for image in kept) < len(scores)


def cut_journals(part):
    """The journal as kills leave it: empty, in a line, at a line's end, one byte before the end."""
    first = part.index(b'\n') + 1
    third = part.index(b'\n', part.index(b'\n', first) + 1)
    return [b'', part[: first - 1], part[:first], part[: third - 20], part[:third], part[:-1]]


def test_a_run_that_was_cut_anywhere_ends_with_the_same_bytes(detector, photos, tmp_path):
    run(detector, photos, tmp_path / 'whole', FORMATS)
    whole = contents(tmp_path / 'whole')
    assert len(whole) == 6 + 2 * len(NAMES)  # with labels/ and images/
    part = (tmp_path / 'whole/journal/part-00000.jsonl').read_bytes()
    for number, cut in enumerate(cut_journals(part)):
        out = tmp_path / f'cut {number}'
        (out / 'journal').mkdir(parents=True)
        shutil.copy(tmp_path / 'whole/journal/settings.json', out / 'journal')
        (out / 'journal/part-00000.jsonl').write_bytes(cut)
        run(detector, photos, out, FORMATS)
        assert contents(out) == whole
        lines = (out / 'journal/part-00000.jsonl').read_text().splitlines()
        found = [json.loads(line)['index'] for line in lines if 'broken' not in json.loads(line)]
        assert sorted(found) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]  # none twice


def test_reading_in_workers_gives_the_same_bytes(detector, photos, tmp_path):
    run(detector, photos, tmp_path / 'here')
    run(detector, photos, tmp_path / 'workers', workers=2)
    assert contents(tmp_path / 'workers') == contents(tmp_path / 'here')


def test_a_finished_run_detects_nothing_and_writes_other_formats(
    detector, photos, tmp_path, monkeypatch
):
    out = tmp_path / 'out'
    run(detector, photos, out)
    monkeypatch.setattr(detector.model, 'test_step', None)
    run(detector, photos, out, FORMATS)
    assert {'annotations.json', 'data.yaml', 'tasks.json', 'labels.csv'} < {*contents(out)}


def test_a_repaired_image_is_labelled_by_the_next_run(detector, photos, tmp_path):
    run(detector, photos, tmp_path / 'out')
    noise(seed=9).save(photos / BROKEN)
    records = run(detector, photos, tmp_path / 'out')
    assert len(records) == 11
    assert [*records.broken()] == []
    run(detector, photos, tmp_path / 'anew')
    assert contents(tmp_path / 'out') == contents(tmp_path / 'anew')


def test_other_options_are_refused_by_name(detector, photos, tmp_path):
    out = tmp_path / 'out'
    run(detector, photos, out)
    with pytest.raises(ValueError, match=r"texts: without \['blue thing'\], with \['cup'\]"):
        run(detector, photos, out, thresholds={'red thing': 0.25, 'cup': 0.25})
    with pytest.raises(ValueError, match='texts: in another order'):
        run(detector, photos, out, thresholds=dict(reversed(THRESHOLDS.items())))
    with pytest.raises(ValueError, match=r'score_thr red thing was 0\.25, is 0\.5\. '):
        run(detector, photos, out, thresholds=THRESHOLDS | {'red thing': 0.5})
    bias = detector.model.rpn_head.rpn_cls.bias.data
    bias += 1
    with pytest.raises(ValueError, match=r"options: model weights was '\w{16}', is"):
        run(detector, photos, out)
    bias -= 1
    (photos / 'a/0.jpg').rename(photos / 'a/00.jpg')
    with pytest.raises(ValueError, match='options: input sha256_of_names was'):
        run(detector, photos, out)
    (photos / 'a/00.jpg').unlink()
    with pytest.raises(ValueError, match='options: input images was 11, is 10'):
        run(detector, photos, out)
    shutil.move(photos, tmp_path / 'moved')
    with pytest.raises(ValueError, match='options: input path was'):
        run(detector, tmp_path / 'moved', out)


def hold_lock(folder, ready):
    with Journal(folder).lock():
        ready.set()
        time.sleep(60)


def test_two_runs_in_one_folder_are_refused(detector, photos, tmp_path, monkeypatch):
    other = Process(target=hold_lock, args=(tmp_path / 'out/journal', ready := Event()))
    other.start()
    assert ready.wait(30)
    words = [photos, '--out', tmp_path / 'out', '--texts', 'red thing']
    with pytest.raises(SystemExit, match=rf'process {other.pid} .* writes to this folder'):
        run_tool(monkeypatch, detector, *words)
    other.kill()
    other.join()
    run_tool(monkeypatch, detector, *words)  # the lock ended with it


def test_a_list_file(detector, photos, tmp_path):
    names = ['photos/b/c/3.png', 'photos/a/1.jpg', 'photos/gone.jpg', 'photos/a/1.jpg']
    (tmp_path / 'list.txt').write_text('\n'.join(names))
    source = open_source(str(tmp_path / 'list.txt'), root=str(tmp_path))
    assert len(source) == 3  # a line that is repeated is one image
    assert source[1].path == str(tmp_path / 'photos/a/1.jpg')
    assert source[2].name == 'photos/gone.jpg'  # nothing is opened
    os.chdir(tmp_path)
    records = run(detector, 'list.txt', tmp_path / 'out')
    assert [image.name for image in records] == names[:2]
    assert [image.broken for image in records.broken()] == ['no such file']


@pytest.mark.parametrize('given', ['shards', 'shards/index.json'])
def test_shards_have_the_labels_of_their_files(detector, photos, tmp_path, given):
    pytest.importorskip('webdataset')
    write_shards(photos, NAMES, tmp_path / 'shards', 4, seed=None)
    records = run(detector, tmp_path / given, tmp_path / 'out', FORMATS)
    of_files = [*run(detector, photos, tmp_path / 'files', batch_size=1)]
    for found, expected in zip(records, of_files, strict=True):
        assert found.size == expected.size
        assert found.labels == expected.labels
        assert np.allclose(found.boxes, expected.boxes, atol=0.1)
    names = [image.name for image in records]
    assert names[:2] == ['000000.tar/000000000.jpg', '000000.tar/000000001.jpg']
    assert names[-1] == '000002.tar/000000009.png'
    assert (tmp_path / 'out/labels/000002.tar/000000009.txt').read_text()
    assert not any((tmp_path / 'out/images').rglob('*'))  # shards have no files to link to


def test_shards_without_an_index_are_named(tmp_path):
    (tmp_path / '0.tar').touch()
    with pytest.raises(FileNotFoundError, match=r'no index\.json.*make_shards\.py --index'):
        open_source(str(tmp_path))


def test_a_long_folder_is_listed_without_reading(tmp_path, monkeypatch):
    for number in range(300):
        (tmp_path / f'{number}.jpg').touch()
    monkeypatch.setattr('builtins.open', None)
    source = open_source(str(tmp_path))
    assert len(source) == 300
    assert source.fingerprint()['images'] == 300


def test_an_output_folder_in_the_input_folder(detector, photos, tmp_path, monkeypatch, capsys):
    words = [photos, '--out', photos / 'labels', '--format', 'yolo', '--texts', 'red thing']
    run_tool(monkeypatch, detector, *words)
    assert (photos / 'labels/images/a/0.jpg').is_symlink()
    assert capsys.readouterr().out.splitlines()[-1].startswith('10 images with ')
    (photos.parent / 'link').symlink_to(photos)
    words[2] = photos.parent / 'link/labels'
    run_tool(monkeypatch, detector, *words)  # and again, with links to images in it
    assert capsys.readouterr().out.splitlines()[-1].startswith('10 images with ')


def test_the_input_folder_as_output_folder_is_refused(detector, photos, monkeypatch):
    with pytest.raises(SystemExit, match='is the output folder too'):
        run_tool(monkeypatch, detector, photos, '--out', f'{photos}/', '--format', 'yolo')


@pytest.mark.parametrize('kind', ['yolo', 'coco'])
def test_foreign_files_are_not_replaced(detector, photos, tmp_path, monkeypatch, kind):
    """A folder of images beside which the labels shall lie: `images/` is not ours to delete."""
    data = tmp_path / 'data'
    photos.rename(tmp_path / 'images')
    data.mkdir()
    (tmp_path / 'images').rename(data / 'images')
    (data / 'annotations.json').write_text('mine')
    before = contents(data)
    words = [data / 'images', '--out', data, '--format', kind, '--texts', 'red thing']
    name = dict(yolo='images', coco=r'annotations\.json')[kind]
    with pytest.raises(SystemExit, match=rf'data/{name}: is there already'):
        run_tool(monkeypatch, detector, *words)
    assert contents(data) == before
    (data / 'journal').mkdir(exist_ok=True)
    (data / 'journal/yolo.claimed').touch()
    if kind == 'yolo':
        with pytest.raises(SystemExit, match='is not a link'):
            run_tool(monkeypatch, detector, *words)
        assert {*before} <= {*contents(data)}


def test_closing_line_and_list_of_broken_images(detector, photos, tmp_path, monkeypatch, capsys):
    noise(3000, 1).save(photos / 'thin.png')
    words = [photos, '--out', tmp_path / 'out', '--texts', 'red thing', '--score-thr', '1']
    run_tool(monkeypatch, detector, *words)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        f'10 images with 0 objects, 10 of them without any, 2 broken ({tmp_path}/out/broken.txt): '
        f'{tmp_path}/out/annotations.json'
    )
    torn, thin = (tmp_path / 'out/broken.txt').read_text().splitlines()
    assert torn.startswith(f'{BROKEN}: cannot be decoded')
    assert thin.startswith('thin.png: cannot be resized')


def test_the_list_has_a_line_per_broken_image_whatever_its_name(detector, photos, tmp_path):
    (photos / 'a\nb.png').touch()
    records = run(detector, photos, tmp_path / 'out')
    write_broken(records, tmp_path)
    assert (tmp_path / 'broken.txt').read_text().splitlines()[0] == 'a b.png: the file is empty'


def test_without_any_readable_image_the_tool_fails(detector, tmp_path, monkeypatch):
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in/1.jpg').write_text('<html>')
    with pytest.raises(SystemExit, match=r'none of the 1 images can be read, .*1\.jpg: is not an'):
        run_tool(monkeypatch, detector, tmp_path / 'in', '--out', tmp_path / 'out')
    assert not (tmp_path / 'out/annotations.json').exists()


def test_thresholds_below_the_models_own_are_refused(detector, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(detector.model.roi_head.test_cfg, 'score_thr', 0.3)
    with pytest.raises(ValueError, match=r'0\.25 is below 0\.3, model\.test_cfg\.rcnn\.score_thr'):
        run(detector, photos, tmp_path / 'out')


def test_a_damaged_line_is_named(detector, photos, tmp_path):
    run(detector, photos, tmp_path / 'out')
    part = tmp_path / 'out/journal/part-00000.jsonl'
    part.write_bytes(part.read_bytes().replace(b'{"index": 3', b'\0\0\0\0\0\0\0\0\0\0\0'))
    with pytest.raises(ValueError, match=r'part-00000\.jsonl: line 4 is damaged'):
        Journal(tmp_path / 'out/journal').records(11)


def command(trained, photos, out, *more):
    files = [trained / 'config.py', trained / 'checkpoint.pth']
    words = ['--texts', '. '.join(TEXTS), '--score-thr', '0.25', '--batch-size', '2', '--out', out]
    return [ROOT / 'tools/label_images.py', photos, *files, *words, '--format', 'yolo', *more]


@pytest.mark.slow
def test_kill_and_resume_by_two_processes(detector, trained, photos, tmp_path):
    """Killed by signal 9 as one process, ended by two."""
    for number in range(10, 60):
        noise(64, 48, seed=number).save(photos / f'{number}.jpg')
    run(detector, photos, tmp_path / 'whole', ('yolo',))
    out = tmp_path / 'out'
    killed = Fork(command(trained, photos, out, '--workers', '1'), tmp_path)
    part = out / 'journal/part-00000.jsonl'
    while not (part.exists() and part.stat().st_size > 4000):
        assert killed.poll() is None, killed.output[1].read_text()[-2000:]
        time.sleep(0.002)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (out / 'data.yaml').exists()
    before = part.read_bytes().count(b'\n')
    assert 0 < before < 50
    together = dict(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()))
    words = command(trained, photos, out, '--workers', '0')
    forks = [Fork(words, tmp_path, RANK=rank, LOCAL_RANK=rank, **together) for rank in '01']
    first, second = [fork.wait() for fork in forks]
    assert (first.returncode, second.returncode) == (0, 0), first.stderr[-2000:] + second.stderr
    assert first.stdout.splitlines()[-1].startswith('60 images with ')
    assert second.stdout.count('images') == 0
    parts = [*sorted((out / 'journal').glob('part-*'))]
    counts = [path.read_bytes().count(b'\n') for path in parts]
    assert [path.name for path in parts] == ['part-00000.jsonl', 'part-00001.jsonl']
    assert counts[0] > before
    assert counts[1] > 0
    found = contents(out)
    broken = found.pop('broken.txt').decode()
    assert broken.startswith(BROKEN)
    assert found == contents(tmp_path / 'whole')
    assert len([*Path(out, 'labels').rglob('*.txt')]) == 60


def test_pictures_and_negatives_of_the_options(detector, photos, tmp_path, monkeypatch):
    """They reach the detector, and another choice of them does not continue a journal."""
    crops = tmp_path / 'crops/part 17'
    crops.mkdir(parents=True)
    noise(seed=50).save(crops / 'a.png')
    words = ['--exemplars', crops.parent, '--texts', 'red thing', '--score-thr', '0.01']
    out = tmp_path / 'out'
    run_tool(monkeypatch, detector, photos, *words, '--negatives', 'green box', '--out', out)
    labels = json.loads((out / 'annotations.json').read_text())
    assert [item['name'] for item in labels['categories']] == ['red thing', 'part 17']
    images = [photos / name for name in NAMES]
    options = dict(exemplars=crops.parent, negatives='green box', score_thr=0.01)
    found = detector(images, texts='red thing', **options)
    assert len(labels['annotations']) == sum(map(len, found)) > 0
    with pytest.raises(SystemExit, match='negatives'):
        run_tool(monkeypatch, detector, photos, *words, '--negatives', 'none', '--out', out)
    noise(seed=51).save(crops / 'a.png')
    with pytest.raises(SystemExit, match='exemplars'):
        run_tool(monkeypatch, detector, photos, *words, '--negatives', 'green box', '--out', out)
