"""The zero-shot segmentor: logits by hand, windows, padding, background, vocabularies."""

import math
import sys

import pytest
import torch
from mmengine.registry import MODELS
from PIL import Image

pytest.importorskip('mmseg')

from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample

import clipself_mm.segmentation
from clipself_mm.clip import TextTower, build_tower
from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.datasets.exemplars import list_exemplars
from clipself_mm.models import embed_exemplars, join_exemplars
from clipself_mm.segmentation import dense_logits
from tests.forks import Fork
from tests.segmentation.stub_tower import PREPROCESSOR

VECTORS = dict(red=[1.0, 0, 0], green=[0, 1.0, 0], blue=[0, 0, 1.0], yellow=[1.0, 1.0, 0])


@pytest.fixture
def build(tmp_path):
    """Builds the segmentor on the stub tower; its classes are colours."""
    file = tmp_path / 'colours.pt'
    torch.save({name: torch.tensor(row) for name, row in VECTORS.items()}, file)

    def make(
        classes=('red', 'green', 'blue'), test_cfg=None, temperature=10.0, file=file, **kwargs
    ):
        head = dict(
            type='DenseTextHead',
            vocabulary=list(classes),
            embeddings=str(file),
            temperature=temperature,
        )
        settings = dict(data_preprocessor=PREPROCESSOR) | kwargs
        return MODELS.build(
            dict(
                type='ZeroShotSegmentor',
                tower=dict(type='PatchColourTower'),
                decode_head=head,
                test_cfg=test_cfg,
                **settings,
            )
        ).eval()

    return make


def patches(*rows):
    """An image of 4 x 4 patches of one colour, (1, 3, 4 x rows, 4 x columns)."""
    grid = torch.tensor([[VECTORS[name] for name in row.split()] for row in rows])
    return grid.permute(2, 0, 1)[None].repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_logits_by_hand():
    dense = torch.tensor([[3.0, 0.0], [4.0, 0.0]]).view(1, 2, 1, 2)  # (3, 4) and a row of zeros
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, -0.8]])
    logits = dense_logits(dense, text, temperature=10)
    assert logits.shape == (1, 3, 1, 2)
    torch.testing.assert_close(logits[0, :, 0, 0], torch.tensor([6.0, 8.0, -2.8]))
    assert logits[0, :, 0, 1].tolist() == [0, 0, 0]


def test_pixels_get_the_class_of_their_patch(build):
    (found,) = build().predict(patches('red blue', 'green red'))
    labels = found.pred_sem_seg.data
    assert labels.shape == (1, 8, 8)
    assert labels[0, ::4, ::4].tolist() == [[0, 2], [1, 0]]
    assert labels[0, 3::4, 3::4].tolist() == [[0, 2], [1, 0]]


def test_logits_are_interpolated_bilinearly(build):
    """Token centres are at 1.5 and 5.5 (px): pixel 3 lies 3/8 of the way from red to green."""
    logits = build().encode_decode(patches('red green'), [{}])
    assert logits.shape == (1, 3, 4, 8)
    torch.testing.assert_close(logits[0, :, 0, 3], torch.tensor([6.25, 3.75, 0.0]))
    assert logits[0, :, 0, 0].tolist() == [10, 0, 0]


@pytest.mark.parametrize('size', [(8, 8), (5, 12), (4, 11), (7, 6), (1, 1)])
def test_padding_is_black_and_cut_off(build, size):
    model = build()
    height, width = size
    image = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    found = model.predict(image)
    assert [sample.pred_sem_seg.data.shape for sample in found] == [(1, height, width)] * 2
    (seen,) = model.backbone.seen
    assert seen.shape == (2, 3, math.ceil(height / 4) * 4, math.ceil(width / 4) * 4)
    assert torch.equal(seen[..., :height, :width], image)
    assert seen[..., height:, :].abs().sum() + seen[..., width:].abs().sum() == 0


def test_one_window_equals_whole_mode(build):
    image = torch.rand(1, 3, 10, 15, generator=torch.Generator().manual_seed(2))
    whole = build().predict(image)[0].seg_logits.data
    slide = build(test_cfg=dict(mode='slide', crop_size=(10, 15), stride=(4, 4)))
    assert torch.equal(slide.predict(image)[0].seg_logits.data, whole)
    larger = build(test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(32, 32)))
    assert torch.equal(larger.predict(image)[0].seg_logits.data, whole)


def test_windows_are_averaged(build):
    """Windows 0-8 and 4-12: both show pixel 5, once as the middle, once as the left end."""
    image = patches('red green blue')
    model = build(test_cfg=dict(mode='slide', crop_size=(4, 8), stride=(4, 4)))
    logits = model.predict(image)[0].seg_logits.data
    left, right = (build().encode_decode(image[..., x : x + 8], [{}])[0] for x in (0, 4))
    torch.testing.assert_close(logits[:, 0, 5], (left[:, 0, 5] + right[:, 0, 1]) / 2)
    torch.testing.assert_close(logits[:, 0, 2], left[:, 0, 2])
    assert [tuple(seen.shape) for seen in model.backbone.seen] == [(1, 3, 4, 8)] * 2


@pytest.mark.parametrize('keep_logits', [True, False])
@pytest.mark.parametrize('background', ['blue', 2])
def test_pixels_below_threshold_are_background(build, background, keep_logits):
    """Yellow is as near to red as to green: e / (2e + 1) with logits 7.07, 7.07, 0."""
    unsure = math.exp(7.0711) / (2 * math.exp(7.0711) + 1)
    assert 0.49 < unsure < 0.5
    image = patches('red yellow').repeat_interleave(8, 3)  # broad: bilinear only at the border
    for threshold, label in ((0.49, 0), (0.5, 2)):
        settings = dict(background=background, prob_thr=threshold, keep_logits=keep_logits)
        (found,) = build(test_cfg=settings).predict(image)
        assert found.pred_sem_seg.data[0, 0, [0, -1]].tolist() == [0, label]
        assert ('seg_logits' in found) == keep_logits


def test_labels_are_in_the_original_frame(build):
    """Padding is cut, a flip undone, the rest resized to the annotation."""
    sample = SegDataSample(
        metainfo=dict(
            ori_shape=(8, 16),
            img_padding_size=(0, 4, 0, 0),
            flip=True,
            flip_direction='horizontal',
        )
    )
    (found,) = build().predict(patches('red green blue'), [sample])
    labels = found.pred_sem_seg.data
    assert labels.shape == (1, 8, 16)
    assert labels[0, 4].tolist() == [1] * 8 + [0] * 8


def test_vocabulary_changes_at_inference(build):
    model = build(classes=('red', 'green'))
    image = patches('red yellow blue')
    assert model.predict(image)[0].pred_sem_seg.data[0, 0, 5].item() in (0, 1)
    model.set_vocabulary(['blue', 'yellow', 'red'])
    assert model.classes == ('blue', 'yellow', 'red')
    assert model.num_classes == model.out_channels == model.decode_head.num_classes == 3
    assert model.predict(image)[0].pred_sem_seg.data[0, 0, [0, 5, 11]].tolist() == [2, 1, 0]
    model.set_vocabulary('yellow')
    assert model.predict(image)[0].pred_sem_seg.data.unique().tolist() == [0]
    with pytest.raises(ValueError, match=r"colours\.pt.*\['pink'\].*`model\.decode_head\.text`"):
        model.set_vocabulary(['green', 'pink'])
    assert model.classes == ('yellow',)


def test_slide_mode_with_a_new_vocabulary(build):
    model = build(test_cfg=dict(mode='slide', crop_size=(4, 4), stride=(4, 4)))
    model.set_vocabulary(['yellow', 'blue'])
    labels = model.predict(patches('blue yellow'))[0].pred_sem_seg.data
    assert labels[0, 0].tolist() == [1] * 4 + [0] * 4


@pytest.mark.parametrize(
    ('classes', 'found'),
    [([], r'\[\]'), (['red', 'red'], r"\['red'\]"), (['red', ' '], r"\['red', ' '\]")],
)
def test_invalid_vocabulary_raises(build, classes, found):
    model = build()
    with pytest.raises(ValueError, match=found):
        model.set_vocabulary(classes)
    assert model.classes == ('red', 'green', 'blue')


def test_vocabulary_without_background_raises(build):
    model = build(test_cfg=dict(background='blue', prob_thr=0.4))
    model.set_vocabulary(['blue', 'red'])
    assert model.test_cfg.background == 0
    with pytest.raises(ValueError, match=r"background.*\b2\b.*'blue'"):
        model.set_vocabulary(['green', 'red'])
    assert model.classes == ('blue', 'red')


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (dict(background='red'), r"test_cfg.*background 'red'.*prob_thr None"),
        (dict(prob_thr=0.5), r'test_cfg.*background None.*prob_thr 0\.5'),
        (dict(background='pink', prob_thr=0.5), "background.*'pink'"),
        (dict(background=3, prob_thr=0.5), r'background.*\b3\b'),
        (dict(background='red', prob_thr=50), r'prob_thr.*\b50\b'),
        (dict(crop=8), r"test_cfg.*\['crop'\].*'crop_size'"),
    ],
)
def test_invalid_test_cfg_raises(build, settings, words):
    with pytest.raises(ValueError, match=words):
        build(test_cfg=settings)


@pytest.mark.parametrize(
    'preprocessor',
    [
        None,
        dict(type='mmseg.SegDataPreProcessor'),
        PREPROCESSOR | dict(mean=[0, 0, 1]),
        PREPROCESSOR | dict(std=[1, 1, 1]),
    ],
)
def test_wrong_normalisation_raises(build, preprocessor):
    with pytest.raises(ValueError, match=r'data_preprocessor.*(mean|std)='):
        build(data_preprocessor=preprocessor)


def test_nothing_trains(build):
    model = build()
    with pytest.raises(NotImplementedError, match=r'ZeroShotSegmentor.*tools/test\.py'):
        model(patches('red green'), [SegDataSample()], mode='loss')
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ['unused']
    assert not model.train().backbone.training


def test_tensor_mode_returns_token_logits(build):
    logits = build()(patches('red green'), mode='tensor')
    assert logits.shape == (1, 3, 1, 2)
    assert logits[0, :, 0].T.tolist() == [[10, 0, 0], [0, 10, 0]]


def test_metric_reads_the_predictions(build):
    """Half of red is predicted green: IoU 1/2, 1/2 and 1 (blue), mean 66.67; acc 1/2, 1, 1."""
    image, truth = patches('red green green blue'), torch.tensor([0, 0, 1, 2]).repeat_interleave(4)
    sample = SegDataSample(metainfo=dict(ori_shape=(4, 16)))
    sample.gt_sem_seg = PixelData(data=truth.expand(1, 4, 16))
    metric = IoUMetric()
    metric.dataset_meta = dict(classes=('red', 'green', 'blue'))
    metric.process({}, [found.to_dict() for found in build().predict(image, [sample])])
    numbers = metric.evaluate(1)
    assert (numbers['mIoU'], numbers['mAcc'], numbers['aAcc']) == (66.67, 83.33, 75.0)


@pytest.mark.parametrize('last_block', ['value', 'csa'])
def test_text_tower_of_the_same_clip_is_used(micro_clip, last_block):
    tower = dict(type='CLIPTower', model=micro_clip, last_block=last_block)
    constants = build_tower(micro_clip)
    model = MODELS.build(
        dict(
            type='ZeroShotSegmentor',
            tower=tower,
            decode_head=dict(type='DenseTextHead', vocabulary=['cat', 'dog', 'sky']),
            data_preprocessor=dict(
                type='mmseg.SegDataPreProcessor',
                mean=[255 * value for value in constants.mean],
                std=[255 * value for value in constants.std],
            ),
        )
    ).eval()
    image = torch.randn(1, 3, 16, 24, generator=torch.Generator().manual_seed(3))
    dense = model.backbone.encode_dense(image)[0]
    text = TextTower(micro_clip).embed_classes(['cat', 'dog', 'sky'])
    expected = 100 * torch.cosine_similarity(dense[None], text[:, :, None, None], dim=1)
    torch.testing.assert_close(model(image, mode='tensor')[0], expected, atol=1e-4, rtol=1e-4)
    assert model.backbone.dense_path.startswith('value' if last_block == 'value' else 'self')


def test_embedding_width_mismatch_raises(build, tmp_path):
    torch.save({name: torch.randn(4) for name in VECTORS}, tmp_path / 'wide.pt')
    with pytest.raises(ValueError, match=r'wide\.pt.*\b4\b.*\b3\b'):
        build(file=tmp_path / 'wide.pt')


@pytest.mark.slow
def test_importing_the_package_does_not_import_mmseg(tmp_path):
    program = (
        'import sys, clipself_mm; from mmengine.registry import MODELS;'
        "assert 'mmseg' not in sys.modules; assert MODELS.get('ZeroShotSegmentor') is None"
    )
    (tmp_path / 'imports.py').write_text(program)
    done = Fork(['imports.py'], tmp_path).wait()
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'mmseg' in sys.modules
    assert clipself_mm.segmentation.ZeroShotSegmentor is MODELS.get('ZeroShotSegmentor')


def test_classes_given_by_pictures(build):
    """Names that no file has, and no text tower; 'red' is pulled towards yellow by its picture."""
    model = build()
    crops = {
        'object 1': Image.new('RGB', (6, 3), (0, 0, 255)),
        'object 2': [Image.new('RGB', (4, 4), (0, 99, 0)), Image.new('RGB', (2, 7), (0, 255, 0))],
    }
    classes, given = join_exemplars([], embed_exemplars(model.backbone, list_exemplars(crops), 8))
    model.set_vocabulary(classes, given)
    (found,) = model.predict(patches('blue green', 'green blue'))
    assert model.classes == ('object 1', 'object 2')
    assert found.pred_sem_seg.data[0, ::4, ::4].tolist() == [[0, 1], [1, 0]]
    green = torch.tensor([0.0, 1.0, 0.0])
    model.set_vocabulary(['red', 'blue'], {'red': ExemplarEmbedding(green, 0.5)})
    expected = torch.tensor([[0.5**0.5, 0.5**0.5, 0], [0, 0, 1]])
    torch.testing.assert_close(model.decode_head.text.table, expected)
    with pytest.raises(ValueError, match='object 3'):
        model.set_vocabulary(['red', 'object 3'], {'blue': ExemplarEmbedding(green)})
    torch.testing.assert_close(model.decode_head.text.table, expected)
    model.set_vocabulary(['red', 'blue'])
    assert model.decode_head.text.table[0].tolist() == [1, 0, 0]
