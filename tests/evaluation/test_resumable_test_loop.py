"""Proposals of a stopped test: nothing is computed again, and the file is that of a whole one."""

import json
import pickle
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from clipself_mm.datasets import ImageReadError
from clipself_mm.evaluation.metrics import proposal_json_writer
from tests.commands import ROOT, call_on_two
from tests.evaluation.counted_boxes import CONFIG

IMAGES = [f'{number}.png' for number in range(9)]
OUT = Path('out/boxes.json')
PARTS = Path('out/boxes.json.parts')
PLAIN = 'test_cfg.type=TestLoop'


@pytest.fixture
def here(elsewhere):
    """The current folder has images, and the config."""
    Path('photos').mkdir()
    rng = np.random.default_rng(0)
    for name in IMAGES:
        Image.fromarray(rng.integers(0, 255, (12, 20, 3), np.uint8)).save(f'photos/{name}')
    Path('boxes.py').write_text(CONFIG)


@pytest.fixture
def search(here, run_tool):
    """Runs tools/test.py; returns the images that were read and those that were computed."""

    def run(*words, stop=None):
        for name in ('read.txt', 'computed.txt', 'stop'):
            Path(name).unlink(missing_ok=True)
        if stop is not None:
            Path('stop').write_text(str(stop))
        name = f'experiment_name={uuid.uuid4().hex}'
        run_tool('test', 'boxes.py', '--work-dir', 'w', '--cfg-options', name, *words)
        return [noted(name) for name in ('read.txt', 'computed.txt')]

    return run


@pytest.fixture
def whole(search):
    """The file of mmengine's own loop in one run."""
    search(PLAIN)
    content = OUT.read_bytes()
    OUT.unlink()
    return content


def noted(name):
    return Path(name).read_text().splitlines() if Path(name).exists() else []


def stop_after(search, count, *words):
    with pytest.raises(RuntimeError, match='stopped'):
        search(*words, stop=count)


def test_the_same_command_goes_on(search, whole):
    stop_after(search, 5)
    assert not OUT.exists()
    part = PARTS / 'part-00000.jsonl'
    assert part.read_bytes().count(b'\n') == 2
    part.write_bytes(part.read_bytes()[:-9])  # the kill came earlier
    stop_after(search, 3)
    assert search() == [IMAGES[6 - 2 :], IMAGES[6 - 2 :]]
    assert OUT.read_bytes() == whole
    assert [*OUT.parent.iterdir()] == [OUT]


def test_another_number_of_processes_goes_on(search, whole):
    stop_after(search, 3)
    Path('stop').unlink()
    Path('computed.txt').unlink()
    call_on_two(ROOT / 'tools/test.py', 'boxes.py', '--work-dir', 'two', cwd=Path.cwd())
    assert sorted(noted('computed.txt')) == IMAGES[2:]
    assert OUT.read_bytes() == whole
    assert not PARTS.exists()


def test_an_old_file_stays_until_the_new_one_is_written(search, whole, monkeypatch):
    OUT.write_text('old')

    def full(content, path):
        raise OSError(28, f'No space left for {path}')

    with monkeypatch.context() as patch:
        patch.setattr(proposal_json_writer, 'save_json', full)
        with pytest.raises(OSError, match='No space left'):
            search()
    assert OUT.read_text() == 'old'
    assert search() == [[], []]
    assert OUT.read_bytes() == whole
    assert search() == [IMAGES, IMAGES]


def test_parts_of_another_search_are_an_error(search, whole):
    torch.save(dict(state_dict=dict(weight=torch.tensor(0.25))), 'other.pth')
    stop_after(search, 5)
    part = (PARTS / 'part-00000.jsonl').read_bytes()
    for word, said in (
        ('load_from=other.pth', 'weights was'),
        ('test_evaluator.0.score_thr=0.3', r'test_evaluator.*0\.3'),
        ('test_dataloader.batch_size=3', 'batch_size was 2, is 3'),
        ('test_dataloader.dataset.indices=8', 'images count was 9, is 8.*dataset indices'),
    ):
        with pytest.raises(ValueError, match=rf'boxes\.json\.parts: was begun .*{said}.* delete'):
            search(word)
    Path('photos/7.png').rename('photos/x.png')
    with pytest.raises(ValueError, match='images sha256 was'):
        search()
    Path('photos/x.png').rename('photos/7.png')
    assert (PARTS / 'part-00000.jsonl').read_bytes() == part
    assert search() == [IMAGES[4:], IMAGES[4:]]
    assert OUT.read_bytes() == whole


def test_nothing_done_takes_other_options(search):
    stop_after(search, 0)
    assert search('test_evaluator.0.max_per_img=3')[1] == IMAGES


def test_an_image_that_cannot_be_read_is_named_and_replaced(search, whole):
    good = Path('photos/7.png').read_bytes()
    Path('photos/7.png').write_bytes(good[:60])
    with pytest.raises(ImageReadError, match=r'photos/7\.png'):
        search()
    Path('photos/7.png').write_bytes(good)
    assert search()[1] == IMAGES[6:]
    assert OUT.read_bytes() == whole


def test_the_pickle_beside_the_json_is_continued(search):
    dump = dict(type='mmdet.DumpProposals', output_dir='out', proposals_file='boxes.pkl')
    config = Path('boxes.py')
    config.write_text(f'{CONFIG}test_evaluator.append({dump!r})\n')
    search(PLAIN)
    expected = pickle.loads(Path('out/boxes.pkl').read_bytes())
    stop_after(search, 5)
    assert search()[1] == IMAGES[4:]
    found = pickle.loads(Path('out/boxes.pkl').read_bytes())
    assert [*found] == [*expected]
    for name, boxes in expected.items():
        assert (found[name].bboxes == boxes.bboxes).all()
        assert (found[name].scores == boxes.scores).all()


@pytest.mark.parametrize(
    'words', [['test_dataloader.sampler.shuffle=True'], ['--out', 'predictions.pkl']]
)
def test_other_samplers_and_metrics_are_not_continued(search, words):
    stop_after(search, 5, *words)
    assert not PARTS.exists()
    assert len(search(*words)[1]) == len(IMAGES)


def test_a_validation_sees_all_images(search, whole):
    stop_after(search, 5)
    for name in ('computed.txt', 'stop'):
        Path(name).unlink()
    config = Config.fromfile('boxes.py')
    config.update(work_dir='v', experiment_name=uuid.uuid4().hex)
    Runner.from_cfg(config).val()
    assert noted('computed.txt') == IMAGES
    assert OUT.read_bytes() == whole
    assert len(json.loads(whole)['annotations']) == 2 * len(IMAGES)
