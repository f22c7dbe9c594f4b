"""tools/segment_image.py on a scene of Shapes-OV."""

import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('mmseg')

from clipself_mm.visualization.segmentation_overlay import class_colours
from tests.commands import ROOT, load_tool

pytestmark = pytest.mark.slow
CONFIG = ROOT / 'configs/shapes/zero-shot_tiny_shapes-ov.py'


@pytest.fixture
def segment(shapes, tmp_path, monkeypatch, capsys):
    """Runs the tool on a scene; returns the scene, the labels that were found, the drawing."""
    tool, found = load_tool('segment_image'), []
    infer = tool.inference_model

    def spy(*given):
        found.append(infer(*given))
        return found[-1]

    monkeypatch.setattr(tool, 'inference_model', spy)
    image, out = min((shapes / 'val').iterdir()), tmp_path / 'new/drawn.png'

    def run(*words, image=image):
        words = ['x', image, CONFIG, *words, '--out', out, '--opacity', 0.25]
        monkeypatch.setattr(sys, 'argv', list(map(str, words)))
        tool.main()
        assert str(out) in capsys.readouterr().out
        scene, drawn = (np.asarray(Image.open(path).convert('RGB')) for path in (image, out))
        return scene, found[-1].pred_sem_seg.data[0].numpy(), drawn

    return run


def test_draws_the_given_classes(segment, micro_clip):
    names = ('--texts', 'red star. grass')
    scene, labels, drawn = segment(*names)
    assert set(np.unique(labels)) == {0, 1}
    expected = 0.75 * scene + 0.25 * class_colours(2)[labels]
    assert np.abs(drawn[:, :128] - expected).max() <= 0.5
    assert drawn.shape[0] == 128  # two names fit beside it
    assert drawn.shape[1] > 128
    assert (segment('--tower', micro_clip, *names)[1] != labels).any()


def test_draws_the_classes_of_the_config(segment):
    _, labels, drawn = segment()
    assert labels.max() > 1
    legend = drawn[:, 128:].reshape(-1, 3).tolist()
    for label in np.bincount(labels.ravel()).argsort()[::-1][:3]:  # the largest
        assert class_colours(label + 1)[label].tolist() in legend


def test_reads_the_image_as_people_see_it(segment, shapes, tmp_path):
    upright = np.asarray(Image.open(min((shapes / 'val').iterdir())))[:, :96]
    turned = Image.fromarray(np.rot90(upright))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / 'turned.png', exif=exif)
    Image.fromarray(upright).save(tmp_path / 'upright.png')
    names = ('--texts', 'red star. grass')
    _, expected, drawn = segment(*names, image=tmp_path / 'upright.png')
    _, labels, same = segment(*names, image=tmp_path / 'turned.png')
    assert labels.shape == (128, 96)
    assert (labels == expected).all()
    assert (drawn == same).all()


def test_gray_of_16_bits_is_that_of_8_bits(segment, shapes, tmp_path):
    gray = np.asarray(Image.open(min((shapes / 'val').iterdir())).convert('L'))
    Image.fromarray(gray).save(tmp_path / 'gray8.png')
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / 'gray16.png')
    names = ('--texts', 'red star. grass')
    _, expected, drawn = segment(*names, image=tmp_path / 'gray8.png')
    _, labels, same = segment(*names, image=tmp_path / 'gray16.png')
    assert (labels == expected).all()
    assert (drawn == same).all()


def test_what_is_no_image_ends_with_one_sentence(segment, tmp_path):
    for given in (tmp_path, tmp_path / 'absent.png'):
        with pytest.raises(SystemExit, match=f'^error: {given}: [^\n]+$'):
            segment(image=given)
