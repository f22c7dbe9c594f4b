"""A video in, an annotated video and a json out; tracks; files that are broken in many ways."""

import io
import json
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from clipself_mm import OpenVocabDetector
from clipself_mm.detection import ImageDetections
from clipself_mm.video import ObjectTracks, VideoFrames, VideoReadError, VideoWriter, detect_video
from clipself_mm.video import tracks as tracks_module

pytest.importorskip('av')

import av

from tests.video.moving_shapes import SIDE, moving_shapes, write_video

LAST = 9  # frames of the short video


@pytest.fixture(scope='module')
def shown():
    """Pictures, names and boxes of three moving objects."""
    return moving_shapes()


@pytest.fixture(scope='module')
def detector(shown):
    """The shipped detector, asked for these objects."""
    detector = OpenVocabDetector(device='cpu')
    detector.model.set_vocabulary(shown[1])
    return detector


@pytest.fixture(scope='module')
def short(shown, tmp_path_factory):
    """A video of the first frames."""
    path = tmp_path_factory.mktemp('video') / 'short.mp4'
    write_video(path, shown[0][:LAST])
    return path


def read_by_opencv(path):
    """Frames (BGR) and frames per second."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (given := capture.read())[0]:
        frames.append(given[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def overlap(box, other):
    lower, upper = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    shared = np.prod(np.clip(upper - lower, 0, None))
    return shared / (np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]) - shared)


@pytest.fixture(scope='module')
def tracked(shown, detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp('tracked')
    write_video(folder / 'in.mp4', shown[0])
    return detect_video(detector, folder / 'in.mp4', folder / 'out', 0.5, batch_size=4, tracks=True)


def test_each_object_keeps_its_name_and_its_track(shown, tracked):
    _, names, boxes = shown
    content = json.loads(tracked.json.read_text())
    assert content['classes'] == names
    seen = {name: [] for name in names}
    for record, here in zip(content['frames'], boxes, strict=True):
        rows = [*zip(record['label_names'], record['bboxes'], record['track_ids'], strict=True)]
        for name, box in zip(names, here, strict=True):
            found = [(overlap(np.array(b), box), id_) for label, b, id_ in rows if label == name]
            if found and max(found)[0] > 0.5:
                seen[name].append(max(found)[1])
    assert min(map(len, seen.values())) >= 0.9 * len(boxes)
    assert sum(int(np.count_nonzero(np.diff(ids))) for ids in seen.values()) <= 1  # switches
    assert len({max(set(ids), key=ids.count) for ids in seen.values()}) == len(names)


def test_the_annotated_video_has_the_frames_of_the_source(shown, tracked):
    frames, rate = read_by_opencv(tracked.video)
    assert (len(frames), tracked.frames, rate) == (len(shown[0]), len(shown[0]), 25)
    content = json.loads(tracked.json.read_text())
    assert [record['time'] for record in content['frames']] == [n / 25 for n in range(len(frames))]
    assert (content['width'], content['height'], content['rate']) == (SIDE, SIDE, 25)
    assert tracked.complaint == content['complaint'] == ''
    changed = np.abs(frames[20][..., ::-1].astype(int) - shown[0][20]).max(-1) > 60
    assert 0.01 < changed.mean() < 0.5  # boxes and names, on the same picture


def test_without_tracks_frames_are_as_detected_alone(detector, short, tmp_path, monkeypatch):
    monkeypatch.setattr(tracks_module, 'find_spec', lambda name: None)  # no lap
    done = detect_video(detector, short, tmp_path, score_thr=0.4, batch_size=2)
    records = json.loads(done.json.read_text())['frames']
    assert 'track_ids' not in records[0]
    pixels = [frame.pixels for frame in VideoFrames(short)]
    for record, found in zip(records, detector(pixels, score_thr=0.4, batch_size=2), strict=True):
        assert record['label_names'] == found.names
        assert np.array_equal(np.array(record['bboxes'], np.float32).reshape(-1, 4), found.boxes)
    with pytest.raises(ImportError, match=r'clipself_mm\[video\]'):
        detect_video(detector, short, tmp_path, tracks=True)


def test_times_of_a_variable_rate_are_kept(shown, detector, tmp_path):
    times = [0, 0.04, 0.3, 0.5, 0.52, 0.9]
    write_video(tmp_path / 'in.mp4', shown[0][:6], times=times)
    done = detect_video(detector, tmp_path / 'in.mp4', tmp_path / 'out')
    assert [float(frame.time) for frame in VideoFrames(done.video)] == pytest.approx(times)
    records = json.loads(done.json.read_text())['frames']
    assert [record['time'] for record in records] == pytest.approx(times)


@pytest.mark.parametrize('turn', [90, 180, 270])
def test_a_video_of_a_phone_is_turned(shown, tmp_path, turn):
    """Clockwise by the matrix in the header of its track, as players and OpenCV 4.12 do."""
    path = tmp_path / 'phone.mp4'
    write_video(path, [picture[:96] for picture in shown[0][:3]])
    content = bytearray(path.read_bytes())
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    start = content.index(b'tkhd') + 4 + 40
    parts = (a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30)
    content[start : start + 36] = b''.join(n.to_bytes(4, 'big', signed=True) for n in parts)
    path.write_bytes(content)
    found = [frame.pixels[..., ::-1] for frame in VideoFrames(path)]
    expected = [np.rot90(picture[:96], -turn // 90) for picture in shown[0][:3]]
    assert found[0].shape == ((96, SIDE, 3) if turn == 180 else (SIDE, 96, 3))
    assert np.abs(np.stack(found).astype(int) - np.stack(expected)).mean() < 5


def cut(path, target, share):
    content = path.read_bytes()
    target.write_bytes(content[: round(share * len(content))])
    return target


def test_a_video_that_was_cut_is_told(shown, detector, tmp_path):
    write_video(tmp_path / 'whole.mp4', shown[0][:12], movflags='faststart')
    path = cut(tmp_path / 'whole.mp4', tmp_path / 'cut.mp4', 0.9)
    done = detect_video(detector, path, tmp_path / 'out')
    assert 0 < done.frames < 12
    assert len(read_by_opencv(done.video)[0]) == done.frames
    assert f'{done.frames} of 12 frames could be read' in done.complaint
    assert json.loads(done.json.read_text())['complaint'] == done.complaint


def test_a_cut_is_seen_without_a_number_of_frames(shown, tmp_path):
    """Matroska has the length only."""
    write_video(tmp_path / 'whole.mkv', shown[0], rate=10)
    for path in (tmp_path / 'whole.mkv', cut(tmp_path / 'whole.mkv', tmp_path / 'cut.mkv', 0.5)):
        frames = VideoFrames(path)
        assert (frames.expected, [*frames] == []) == (0, False)
        ends = f'it ends after {frames.read / 10:.1f} s, and should have 3.6 s'
        assert frames.complaint().endswith(ends if path.stem == 'cut' else '')
        assert bool(frames.complaint()) == (path.stem == 'cut')


def test_broken_frames_are_counted(shown, tmp_path):
    path = tmp_path / 'in.mp4'
    write_video(path, shown[0][:20])
    content = bytearray(path.read_bytes())
    start = content.index(b'mdat') + 4
    place = start + (content.index(b'moov') - start) // 2
    content[place : place + 300] = bytes(range(100)) * 3
    path.write_bytes(content)
    frames = VideoFrames(path)
    assert len([*frames]) <= 20
    assert frames.broken > 0
    assert 'broken frames or packets' in frames.complaint()


@pytest.fixture
def wrong(short, tmp_path):
    """Files that are no video."""
    (tmp_path / 'empty.mp4').touch()
    (tmp_path / 'words.mp4').write_text('a text\n' * 99)
    (tmp_path / 'words.txt').write_text('a text\n' * 99)
    Image.new('RGB', (32, 32)).save(tmp_path / 'picture.png')
    cut(short, tmp_path / 'without_index.mp4', 0.6)
    with av.open(str(tmp_path / 'sound.mp4'), 'w') as container:
        stream = container.add_stream('aac', rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return tmp_path


WRONG = 'absent.mp4 empty.mp4 words.mp4 words.txt picture.png without_index.mp4 sound.mp4 .'


@pytest.mark.parametrize('name', WRONG.split())
def test_no_video_is_one_sentence(wrong, run_tool, name):
    with pytest.raises(SystemExit) as end:
        run_tool('detect_video', wrong / name, '--out-dir', wrong / 'out')
    assert str(end.value).startswith(f'error: {wrong / name}: ')
    assert '\n' not in str(end.value)
    assert not (wrong / 'out').exists()


def test_a_video_without_a_good_frame_is_an_error(tmp_path, short):
    content = short.read_bytes()
    first, last = content.index(b'mdat') + 4, content.index(b'moov') - 4
    (tmp_path / 'in.mp4').write_bytes(content[:first] + bytes(last - first) + content[last:])
    with pytest.raises(VideoReadError, match='no frame'):
        next(iter(VideoFrames(tmp_path / 'in.mp4')))


def test_an_interrupted_call_writes_nothing(detector, short, tmp_path):
    def stop(frames, total, unit):
        assert (total, unit) == (LAST, 'frame')
        for number, frame in enumerate(frames):
            if number == 4:
                raise KeyboardInterrupt
            yield frame

    with pytest.raises(KeyboardInterrupt):
        detect_video(detector, short, tmp_path, progress=stop)
    assert [*tmp_path.iterdir()] == []


def test_the_source_is_not_replaced(detector, short):
    with pytest.raises(VideoReadError, match='would be replaced'):
        detect_video(detector, short, short.parent)
    assert len([*VideoFrames(short)]) == LAST


def test_only_an_earlier_output_of_the_same_source_is_replaced(detector, short, tmp_path):
    for _ in range(2):
        detect_video(detector, short, tmp_path)
    other = tmp_path / 'short.mkv'
    other.write_bytes(short.read_bytes())
    before = (tmp_path / 'short.mp4').read_bytes()
    for json_is in ('of the other video', 'absent', 'of another kind'):
        if json_is == 'absent':
            (tmp_path / 'short.json').unlink()
        if json_is == 'of another kind':
            (tmp_path / 'short.json').write_text('[]')
        with pytest.raises(VideoReadError, match=r'short\.mp4: is there already, not from .*\.mkv'):
            detect_video(detector, other, tmp_path)
    assert (tmp_path / 'short.mp4').read_bytes() == before
    (tmp_path / 'short.mp4').unlink()
    with pytest.raises(VideoReadError, match=r'short\.json: is there already'):
        detect_video(detector, other, tmp_path)


def test_the_cover_of_a_song_is_no_video(tmp_path):
    picture = io.BytesIO()
    Image.new('RGB', (64, 64)).save(picture, 'JPEG')
    body = b'\0image/jpeg\0\x03\0' + picture.getvalue()
    tag = b'APIC' + len(body).to_bytes(4, 'big') + b'\0\0' + body  # ID3v2.3
    size = bytes(len(tag) >> 7 * n & 127 for n in (3, 2, 1, 0))
    with av.open(str(tmp_path / 'song.mp3'), 'w') as container:
        stream = container.add_stream('mp3', rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 44100), np.float32), 'fltp', 'stereo')
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    sound = (tmp_path / 'song.mp3').read_bytes()
    (tmp_path / 'song.mp3').write_bytes(b'ID3\x03\0\0' + size + tag + sound)
    with pytest.raises(VideoReadError, match='is no video'):
        VideoFrames(tmp_path / 'song.mp3')


def test_frames_too_narrow_for_the_model_are_one_sentence(detector, tmp_path):
    write_video(tmp_path / 'in.mp4', [np.zeros((2, 1200, 3), np.uint8)] * 2)
    with pytest.raises(VideoReadError, match=r'in\.mp4: cannot be resized'):
        detect_video(detector, tmp_path / 'in.mp4', tmp_path / 'out')


def test_without_pyav_one_sentence_says_what_to_install(monkeypatch, short):
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(ImportError, match=r"pip install 'clipself_mm\[video\]'"):
        VideoFrames(short)


def test_odd_sides_and_times_that_stand_still(tmp_path):
    picture = np.full((33, 65, 3), 200, np.uint8)
    with VideoWriter(tmp_path / 'odd.mp4', 25) as writer:
        for time in (0, 0, 0.04):
            writer.write(picture, time)
    frames = [*VideoFrames(tmp_path / 'odd.mp4')]
    assert [frame.pixels.shape for frame in frames] == [(34, 66, 3)] * 3
    assert all(np.abs(frame.pixels.astype(int) - 200).max() < 8 for frame in frames)
    assert frames[0].time < frames[1].time < frames[2].time


def detections(*objects):
    """Of (label, x0, score): boxes of 20 x 20."""
    labels, places, scores = zip(*objects, strict=True) if objects else ((), (), ())
    return ImageDetections(
        path=None,
        file_name='',
        size=(200, 100),
        classes=('a', 'b'),
        labels=np.array(labels, np.int64),
        boxes=np.array([(x, 10, x + 20, 30) for x in places], np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        segmentations=[{'size': [100, 200], 'counts': str(x)} for x in places],
    )


def follow(*frames):
    """Detections and numbers of the tracks, per frame."""
    tracks = ObjectTracks(score_thr=0.4)
    return [tracks.follow(detections(*objects)) for objects in frames]


def test_tracks_survive_a_gap_and_a_low_score():
    low = [(0, 10, 0.9)], [(0, 12, 0.9)], [(0, 14, 0.9)], [(0, 16, 0.25)], [], [], [(0, 22, 0.9)]
    assert [numbers for _, numbers in follow([], *low)[4:]] == [[0], [], [], [0]]


def test_tracks_are_per_class_and_rows_stay_together():
    both = [(0, 10, 0.9), (1, 11, 0.8), (0, 100, 0.7)], [(0, 102, 0.9), (1, 12, 0.8), (0, 12, 0.7)]
    (_, first), (found, second) = follow(*both)
    assert (first, second) == ([0, 1, 2], [2, 1, 0])
    assert found.names == ['a', 'b', 'a']
    assert [mask['counts'] for mask in found.segmentations] == ['102', '12', '12']


def test_a_low_score_begins_no_track():
    for found, numbers in follow([(0, 10, 0.3)], [(0, 10, 0.3)], [(0, 10, 0.3)]):
        assert (len(found), numbers) == (0, [])
