"""The shipped detector with classes given by pictures; files of such classes in every model."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import MODELS
from PIL import Image

from clipself_mm import OpenVocabDetector
from clipself_mm.clip import roi_pool
from clipself_mm.clip.class_embeddings import read_named_embeddings
from clipself_mm.clip.exemplar_embedding import ExemplarEmbedding
from clipself_mm.clip.weights.tower_source import package_path
from clipself_mm.datasets import ImageReadError
from clipself_mm.datasets.exemplars import Exemplar, read_exemplar_boxes
from clipself_mm.models import embed_exemplars
from clipself_mm.shapes import ShapesOV, render_scene
from clipself_mm.shapes.scene import mask_box
from tests.detection.tiny_fvit import write_detector

WANTED = ('yellow square', 'purple cross', 'red circle', 'blue ring')


def scene(index):
    """A scene and its objects: image, [(class name, box)]."""
    drawn = render_scene(1, index, ShapesOV().style)
    objects = [(drawn.objects[n].name, mask_box(drawn.visible_mask(n))) for n in drawn.annotated()]
    return Image.fromarray(drawn.image), objects


@pytest.fixture(scope='module')
def detector():
    return OpenVocabDetector(device='cpu')


@pytest.fixture(scope='module')
def pictures():
    """Three boxes of each of `WANTED` in other scenes, under names that say nothing."""
    found = {name: [] for name in WANTED}
    scenes = map(scene, itertools.count(5_100_000))
    while min(map(len, found.values())) < 3:
        image, objects = next(scenes)
        for name, box in objects:
            if len(found.get(name, 'xxx')) < 3:
                found[name].append(Exemplar(image, box))
    return {f'object {n}': found[name] for n, name in enumerate(WANTED)}


def hits(found, objects, classes):
    """Which objects have a box of their class with an IoU of 0.5 or more."""
    right = set()
    for name, box in objects:
        for own, other in zip(found.names, found.boxes, strict=True):
            x0, y0 = np.maximum(box[:2], other[:2])
            x1, y1 = np.minimum(box[2:], other[2:])
            both = max(0, x1 - x0) * max(0, y1 - y0)
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)]
            if classes.get(own) == name and both >= 0.5 * (sum(areas) - both):
                right.add(name)
    return right


def test_pictures_find_what_the_names_do_not_say(detector, pictures):
    image, objects = scene(5_000_003)
    classes = dict(zip(pictures, WANTED, strict=True))
    (found,) = detector(image, exemplars=pictures)
    assert hits(found, objects, classes) == {*WANTED}
    crops = {name: [e.image.crop(e.box) for e in own] for name, own in pictures.items()}
    (by_crops,) = detector(image, exemplars=crops)
    assert len(hits(by_crops, objects, classes)) >= 3
    (by_name,) = detector(image, texts=list(pictures))
    assert len(hits(by_name, objects, classes)) <= 1


def test_names_and_pictures_in_one_call(detector, pictures):
    image, objects = scene(5_000_003)
    given = {'object 1': pictures['object 1'], 'red circle': pictures['object 2']}
    (found,) = detector(image, texts='green star. red circle', exemplars=given, score_thr=0.2)
    assert found.classes == ('green star', 'red circle', 'object 1')
    classes = {'green star': 'green star', 'red circle': 'red circle', 'object 1': 'purple cross'}
    assert hits(found, objects, classes) == {*classes.values()}
    vectors = detector.embed_exemplars(given)
    (again,) = detector(image, 'green star. red circle', exemplars=vectors, score_thr=0.2)
    assert np.array_equal(again.scores, found.scores)


def test_blend_is_the_formula(detector, pictures):
    names = ['green star', 'red circle']
    vectors = detector.embed_exemplars({'red circle': pictures['object 2']})
    text = detector.model.roi_head.bbox_head.fc_cls.text
    name = text.encode(['red circle'])[0].double().numpy()
    vector = vectors['red circle'].double().numpy()
    for weight in (0.0, 0.3, 1.0):
        given = {'red circle': ExemplarEmbedding(vectors['red circle'], weight)}
        expected = (1 - weight) * name + weight * vector
        expected /= np.linalg.norm(expected)
        with detector.model.vocabulary(names, given):
            assert np.allclose(text.table[1].numpy(), expected, atol=1e-6)
    assert 0.3 < name @ vector < 0.95
    with detector.model.vocabulary(names):  # not those of the last call
        assert np.allclose(text.table[1].numpy(), name, atol=1e-6)


def test_pictures_of_a_base_class_have_its_weight(detector, pictures):
    """The weight of CLIP goes by the name: one unknown to the training is novel."""
    image, _ = scene(5_000_003)
    head = detector.model.roi_head.bbox_head
    assert 'blue ring' in head.train_vocabulary.base
    vector = detector.embed_exemplars({'x': pictures['object 3']})['x']
    scores = {}
    for name in ('blue ring', 'object 3'):
        (found,) = detector(image, exemplars={name: vector}, score_thr=0.0, negatives=[])
        scores[name] = found.scores[0]
    assert abs(scores['blue ring'] - scores['object 3']) > 1e-3
    head.alpha, alpha = head.beta, head.alpha
    try:
        (found,) = detector(image, exemplars={'blue ring': vector}, score_thr=0.0, negatives=[])
    finally:
        head.alpha = alpha
    # Background has alpha too; it enters neither as a class nor as a factor.
    assert found.scores[0] == pytest.approx(scores['object 3'], abs=1e-6)


def test_mean_of_unit_vectors_and_the_feature_of_the_detector(detector, pictures):
    tower = detector.model.backbone.tower
    one, two, three = pictures['object 0']
    single = [embed_exemplars(tower, {'x': [e]}, 128)['x'].numpy() for e in (one, two, three)]
    assert all(np.linalg.norm(v) == pytest.approx(1, abs=1e-5) for v in single)
    mean = np.mean(single, axis=0)
    found = detector.embed_exemplars({'a': [one, two, three], 'b': [three]})
    assert np.allclose(found['a'], mean / np.linalg.norm(mean), atol=1e-6)
    assert np.allclose(found['b'], single[2], atol=1e-6)
    # The detector's own pipeline and pooling give this feature.
    packed = detector.inferencer.pipeline(
        dict(img=np.asarray(one.image)[..., ::-1].copy(), img_id=0)
    )
    batch = dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])
    images = detector.model.data_preprocessor(batch)['inputs']
    dense = detector.model.backbone.forward_with_dense(images)[1]
    pooled = roi_pool(dense, [torch.tensor([one.box]) / 2], tower.patch_size)[0]
    assert F.cosine_similarity(pooled, torch.tensor(single[0]), dim=0) > 0.98


def test_bad_exemplars_are_named_before_the_first_image(detector, tmp_path):
    image, _ = scene(5_000_003)
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    with pytest.raises(ImageReadError, match=r'broken\.png'):
        detector('gone too.png', exemplars={'x': [image, tmp_path / 'broken.png']})
    path = tmp_path / 'a.png'
    image.save(path)
    with pytest.raises(ValueError, match=r'a\.png.*no area'):
        detector(image, exemplars={'x': Exemplar(path, (300, 0, 400, 50))})
    with pytest.raises(ValueError, match=r'0 to 1, got 1\.5'):
        detector(image, texts='x', exemplars={'x': image}, exemplar_weight=1.5)


@pytest.fixture(scope='module')
def by_tool(shapes, tmp_path_factory):
    """File of the tool for two classes, one with three boxes and its name, one by its name."""
    folder = tmp_path_factory.mktemp('files')
    (folder / 'words.txt').write_text('green star\nred circle\n')
    return folder


def test_file_of_the_tool_gives_the_scores_of_the_call(detector, shapes, by_tool, run_tool):
    boxes = str(shapes / 'annotations/instances_train_all.json'), str(shapes / 'train')
    exemplars = read_exemplar_boxes(*boxes, per_class=2)
    known = [name for name in ('red circle', 'blue ring', 'green leaf') if name in exemplars]
    words = by_tool / 'words.txt'
    words.write_text('green star\n' + '\n'.join(known))
    out = by_tool / 'classes.safetensors'
    weights = package_path('clipself_mm.shapes/tiny_fvit/fvit_tiny.safetensors')
    tower = ['--model', 'pkg:clipself_mm.shapes/tiny_clip', '--checkpoint', weights]
    options = ['--exemplars', boxes[0], '--images', boxes[1], '--size', 128, '--per-class', 2]
    run_tool('make_text_embeddings', words, *tower, '--out', out, *options)
    stored = read_named_embeddings(out)
    assert [*stored] == ['green star', *known, 'background']

    image, _ = scene(5_000_003)
    given = {name: exemplars[name] for name in ('green star', *known) if name in exemplars}
    (expected,) = detector(
        image, ['green star', *known], exemplars=given, score_thr=0.0, negatives=[]
    )
    config = Config.fromfile('configs/shapes/fvit_tiny_shipped_shapes-ov.py')
    config.model.roi_head.bbox_head.update(vocabulary=str(words))
    config.model.roi_head.bbox_head.cls_predictor_cfg.update(embeddings=str(out))
    ours = OpenVocabDetector(config, weights, 'cpu')
    ours.model.roi_head.bbox_head.fusion.copy_(fusion_of(detector, expected.classes))
    (found,) = ours(image, score_thr=0.0)
    assert found.classes == expected.classes
    assert np.allclose(found.scores, expected.scores, atol=1e-5)

    tiny = dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip')
    region = MODELS.build(
        dict(
            type='RegionRecognizer',
            tower=tiny,
            data_preprocessor=dict(type='RegionPreprocessor', image_size=128),
            classifier=dict(vocabulary=str(words), embeddings=str(out)),
        )
    )
    rows = torch.stack([stored[name] for name in found.classes])
    assert torch.equal(region.eval().classifier.text.table, rows)


def fusion_of(detector, classes):
    """Weights of CLIP of the shipped detector for these names; a new vocabulary has no split."""
    with detector.model.vocabulary(classes):
        return detector.model.roi_head.bbox_head.fusion.clone()


def test_tool_names_bad_folders(by_tool, run_tool, tmp_path):
    picture = tmp_path / 'crops/Red Circle/a.png'
    picture.parent.mkdir(parents=True)
    Image.new('RGB', (9, 9)).save(picture)
    (tmp_path / 'words.txt').write_text('green star\nred circle\n')
    words = [tmp_path / 'words.txt', '--model', 'pkg:clipself_mm.shapes/tiny_clip']
    words += ['--out', tmp_path / 'x.pt', '--exemplars']
    with pytest.raises(SystemExit, match=r"crops: \['Red Circle'\] are not among the 2 classes"):
        run_tool('make_text_embeddings', *words, tmp_path / 'crops')
    (tmp_path / 'crops/Red Circle').rename(tmp_path / 'crops/red circle')
    (tmp_path / 'crops/red circle/b.png').write_bytes(b'?')
    with pytest.raises(SystemExit, match=r'b\.png'):
        run_tool('make_text_embeddings', *words, tmp_path / 'crops')
    with pytest.raises(SystemExit):
        run_tool('make_text_embeddings', *words, 'boxes.json')
    assert not (tmp_path / 'x.pt').exists()


def test_image_demo_takes_a_folder(micro_clip, run_tool, tmp_path):
    write_detector(tmp_path, micro_clip)
    for name in ('object 17', 'red star'):
        (tmp_path / 'crops' / name).mkdir(parents=True)
        Image.new('RGB', (9, 20), name.split()[0] if name == 'red star' else 'blue').save(
            tmp_path / 'crops' / name / 'a.png'
        )
    files = [tmp_path / name for name in ('image.png', 'config.py', 'checkpoint.pth')]
    options = ['--out-dir', tmp_path / 'out', '--device', 'cpu', '--exemplars']
    run_tool('image_demo', *files, *options, tmp_path / 'crops', '--texts', 'red star')
    saved = (tmp_path / 'out/preds/image.json').read_text()
    assert '"object 17"' in saved or '"red star"' in saved
    assert '"blue ring"' not in saved
    (tmp_path / 'crops/object 17/a.png').unlink()
    with pytest.raises(SystemExit, match='object 17: expected images'):
        run_tool('image_demo', *files, *options, tmp_path / 'crops')


def test_vectors_count_under_any_spelling_of_their_name_and_any_length(detector, pictures):
    """A folder of macOS has decomposed names; doubled blanks are one."""
    (vector,) = detector.embed_exemplars({'x': pictures['object 0']}).values()
    image, _ = scene(5_000_000)
    for name, spelling in (('café', 'cafe\u0301'), ('object x', ' object  x ')):
        results = [
            detector(image, texts=name, exemplars={key: given}, score_thr=0.05)[0]
            for key, given in ((name, vector), (spelling, 4 * vector))
        ]
        expected, found = results
        assert found.classes == (name,)
        assert len(found) == len(expected) > 0
        assert found.scores == pytest.approx(expected.scores, abs=1e-6)
        assert found.scores != pytest.approx(detector(image, texts=name)[0].scores)


def test_bad_vectors_are_named(detector, pictures):
    (vector,) = detector.embed_exemplars({'x': pictures['object 0']}).values()
    image, _ = scene(5_000_000)
    wrong = [
        ({'part': vector * float('nan')}, "'part': expected a vector with a direction"),
        ({'part': vector * 0}, "'part': expected a vector with a direction"),
        ({'a  b': vector, 'a b': vector}, "'a b': has two vectors"),
        (
            {'part': vector[:3]},
            "'part': expected 128 numbers \\(features of the tower\\), got 3",
        ),
        ({'part': vector, 'part ': pictures['object 0']}, "'part': has pictures and a vector"),
    ]
    for exemplars, complaint in wrong:
        with pytest.raises(ValueError, match=f'^exemplars of {complaint}'):
            detector(image, exemplars=exemplars)
