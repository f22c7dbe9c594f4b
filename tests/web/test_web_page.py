"""The page of `tools/web.py` in a real browser."""

import importlib.util
import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request

import psutil
import pytest
from PIL import Image
from pycocotools.coco import COCO

from clipself_mm.web.images import SAMPLES, sample_images
from tests.commands import ROOT, free_port
from tests.forks import Fork
from tests.web.chromium import Visitor, browser
from tests.web.scenes import assert_found, iou, truth
from tests.web.uploads import WRONG

missing = importlib.util.find_spec('gradio') is None  # only the tool in its process needs it
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing, reason="pip install 'clipself_mm[web]'"),
]


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """The tool, its port taken: address, processor seconds until it answers, output."""
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', free_port()))
        taken.listen()
        start = time.monotonic()
        words = [ROOT / 'tools/web.py', '--port', taken.getsockname()[1], '--device', 'cpu']
        fork = Fork(words, tmp_path_factory.mktemp('web'))
        found = None
        while not found:
            assert fork.poll() is None, fork.output[1].read_text()[-3000:]
            assert time.monotonic() < start + 120
            time.sleep(0.1)
            out = fork.output[0].read_text() if fork.output[0].exists() else ''
            found = re.search(r'The page is at (http://127\.0\.0\.1:\d+)/', out)
        spent = psutil.Process(fork.pid).cpu_times()
        yield found[1], spent.user + spent.system, out
    os.kill(fork.pid, signal.SIGTERM)
    assert fork.wait(60).returncode == 0


@pytest.fixture(scope='module')
def address(server):
    return server[0]


@pytest.fixture(scope='module')
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def visitor(chromium, address):
    """A new visitor, whose requests all go to this machine."""
    context = chromium.new_context(viewport=dict(width=1280, height=800))
    visitor = Visitor(context.new_page(), address)
    yield visitor
    elsewhere = [url for url in visitor.requests if not url.startswith((address, 'data:', 'blob:'))]
    assert (elsewhere, visitor.errors) == ([], [])
    context.close()


def test_page_answers_soon_on_the_next_port(server):
    """In processor seconds, whatever else runs; the import of torch and mm, about 6, is not in."""
    address, seconds, out = server
    assert seconds < 15
    assert re.search(rf'Port \d+ is taken, {address.rpartition(":")[2]} is used', out)
    with urllib.request.urlopen(address) as answer:
        assert answer.status == 200


def test_first_page_has_the_boxes_of_the_first_sample(visitor):
    assert_found(visitor.rows(), truth(SAMPLES[0]))


def test_a_typed_word_gives_the_right_boxes(visitor):
    rows = visitor.wait_for_new_table(
        lambda: visitor.type_words('red bolt, blue ring, yellow crown')
    )
    assert_found(rows, {name: truth(SAMPLES[0])[name] for name in ('red bolt', 'yellow crown')})
    assert visitor.said() == '2 objects found: 2 base.'


def test_samples_and_uploads(visitor, tmp_path):
    samples = visitor.page.locator('#samples button')
    rows = visitor.wait_for_new_table(lambda: samples.nth(1).click())
    assert_found(rows, truth(SAMPLES[1]))
    Image.fromarray(sample_images()[2].rgb).save(tmp_path / 'mine.png')
    visitor.page.locator('#words textarea').fill('blue circle')
    rows = visitor.wait_for_new_table(lambda: visitor.upload(tmp_path / 'mine.png'))
    assert_found(rows, {'blue circle': truth(SAMPLES[2])['blue circle']})


def test_wrong_files_give_sentences(visitor, tmp_path):
    """By the button and by the field for dropping; the page stays as it was."""
    before = visitor.rows()
    for name, (content, part) in WRONG.items():
        (tmp_path / name).write_bytes(content)
        visitor.upload(tmp_path / name)
        assert visitor.wait_for(name, 'image-said').count(part) == 1
    (tmp_path / 'dropped.png').write_bytes(b'text')
    visitor.page.locator('#shown input[type=file]').set_input_files(tmp_path / 'dropped.png')
    visitor.wait_for('dropped.png is not an image', 'image-said')
    assert visitor.rows() == before
    assert 'Traceback' not in visitor.page.content()


def test_a_file_above_the_limit_gives_a_sentence(visitor, tmp_path):
    with (tmp_path / 'large.png').open('wb') as file:
        file.truncate(21 * 2**20)
    visitor.upload(tmp_path / 'large.png')
    visitor.page.get_by_text('exceed the maximum allowed size').wait_for()
    rows = visitor.wait_for_new_table(lambda: visitor.type_words('red bolt'))
    assert_found(rows, {'red bolt': truth(SAMPLES[0])['red bolt']})


def test_words_that_are_none_or_too_many_give_sentences(visitor):
    visitor.type_words('  ')
    visitor.wait_for('Type what to look for')
    assert visitor.rows() == []
    assert visitor.page.locator('#download').is_disabled()
    visitor.type_words(', '.join(f'thing {n}' for n in range(250)))
    visitor.wait_for('250 names are too many')
    visitor.type_words('x' * 150)
    visitor.wait_for('has 150 characters')


def test_of_20_quick_clicks_the_last_one_is_answered(visitor):
    names = [*['green cross', 'red bolt', 'purple cross'] * 6, 'blue heart', 'yellow crown']
    for name in names:
        visitor.page.locator('#words textarea').fill(name)
        visitor.page.locator('#run').click()
    visitor.page.locator('#table tbody tr:only-child', has_text=names[-1]).wait_for()
    # An answer that is still to come would be there before that of another action.
    visitor.page.get_by_role('tab', name='Dense features').click()
    visitor.page.locator('#word input, #word textarea').fill('sand')
    visitor.page.locator('#show').click()
    visitor.wait_for('“sand”', 'dense-said')
    assert_found(visitor.rows(), {names[-1]: truth(SAMPLES[0])[names[-1]]})


def test_a_boxed_example_is_found_in_another_image(visitor):
    x0, y0, x1, y1 = (side / 256 for side in truth(SAMPLES[0])['red bolt'])
    visitor.page.get_by_text('Find by example').click()
    visitor.page.locator('#example-name input').fill('object 17')
    visitor.click_image(x0, y1)
    visitor.wait_for('opposite corner', 'image-said')
    visitor.click_image(x1, y0)
    visitor.wait_for('object 17 (1)', 'image-said')
    visitor.page.locator('#samples button').nth(1).click()
    visitor.page.locator('#table tr', has_text='yellow star').wait_for()
    rows = visitor.wait_for_new_table(lambda: visitor.type_words(''))
    assert {tuple(row[:2]) for row in rows} == {('object 17', 'novel')}
    x, y, width, height = map(int, rows[0][3:])
    assert iou((x, y, x + width, y + height), truth(SAMPLES[1])['red bolt']) > 0.5
    visitor.page.locator('#forget').click()
    visitor.wait_for('Type what to look for')


def test_sliders_change_the_result(visitor):
    field = visitor.page.locator('#score input[type=number]')
    field.fill('0.9')
    rows = visitor.wait_for_new_table(lambda: field.blur())
    assert 0 < len(rows) < len(truth(SAMPLES[0]))
    assert min(float(row[2]) for row in rows) >= 0.9


def test_downloaded_json_is_read_by_pycocotools(visitor, tmp_path):
    with visitor.page.expect_download() as download:
        visitor.page.locator('#download').click()
    assert download.value.suggested_filename == 'scene_96_coco.json'
    download.value.save_as(tmp_path / 'found.json')
    coco = COCO(tmp_path / 'found.json')
    assert {coco.cats[a['category_id']]['name'] for a in coco.anns.values()} == {*truth(SAMPLES[0])}


def test_dense_features_of_a_word(visitor):
    visitor.page.get_by_role('tab', name='Dense features').click()
    sources = '[...document.querySelectorAll(".pair img")].map(i => i.src)'
    visitor.page.wait_for_function(f'{sources}.length == 4')
    before = visitor.page.evaluate(sources)
    visitor.page.locator('#word textarea, #word input').fill('red circle')
    visitor.page.locator('#word textarea, #word input').press('Enter')
    visitor.wait_for('“red circle”', 'dense-said')
    visitor.page.wait_for_function(f'{sources}[0] != {json.dumps(before[0])}')
    after = visitor.page.evaluate(sources)
    assert len({*before, *after}) == 6  # the groups do not depend on the word
    visitor.page.locator('#word textarea, #word input').fill('')
    visitor.page.locator('#show').click()
    visitor.wait_for('Type what to look for', 'dense-said')


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_page_fits_a_phone(chromium, address, scheme):
    context = chromium.new_context(viewport=dict(width=390, height=844), color_scheme=scheme)
    visitor = Visitor(context.new_page(), address)
    for tab in ('Dense features', 'Detect'):
        visitor.page.get_by_role('tab', name=tab).click()
        assert visitor.page.evaluate('document.documentElement.scrollWidth') == 390
    table = visitor.page.locator('#table table').bounding_box()
    assert table['x'] + table['width'] <= 390
    context.close()


@pytest.mark.parametrize(
    'path',
    [
        '/etc/passwd',
        '../../../../../../etc/passwd',
        '/tmp/../etc/passwd',
        '%2Fetc%2Fpasswd',
        '..%2f..%2f..%2f..%2fetc%2fpasswd',
        'file:///etc/passwd',
        str(ROOT / 'README.md'),
        '/proc/self/environ',
    ],
)
def test_no_other_file_is_served(address, path):
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f'{address}/gradio_api/file={path}')
    assert error.value.code in (403, 404)


@pytest.mark.parametrize('path', ['/etc/passwd', str(ROOT / 'docs/images/detections.png')])
def test_a_path_in_place_of_an_upload_is_refused(address, path):
    """Sent as the page itself would send an upload."""
    with urllib.request.urlopen(f'{address}/config') as answer:
        config = json.load(answer)
    for event in config['dependencies']:
        if event['targets'][0][1] == 'upload':
            values = {part['id']: part['props'].get('value') for part in config['components']}
            data = [values[number] for number in event['inputs']]
            data[1] = dict(path=path, meta={'_type': 'gradio.FileData'})
            sent = dict(data=data, fn_index=event['id'], session_hash=f'path{event["id"]}')
            request = urllib.request.Request(
                f'{address}/gradio_api/queue/join',
                json.dumps(sent).encode(),
                {'Content-Type': 'application/json'},
            )
            urllib.request.urlopen(request).close()
            stream = f'{address}/gradio_api/queue/data?session_hash={sent["session_hash"]}'
            with urllib.request.urlopen(stream, timeout=60) as answer:
                messages = [json.loads(line[6:]) for line in answer if line.startswith(b'data:')]
            (end,) = [m for m in messages if m['msg'] == 'process_completed']
            assert not end['success']
            assert not end['output'].get('data')
