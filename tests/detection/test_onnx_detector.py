"""The ONNX file of a detector: PyTorch's boxes, classes as input, the example without torch."""

import ast
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from mmdet.apis import init_detector
from mmengine.structures import InstanceData
from PIL import Image

from clipself_mm.clip import TextTower
from clipself_mm.detection import onnx_export
from clipself_mm.detection.onnx_detector import ClassNMS, OnnxDetector
from clipself_mm.detection.onnx_export import compare_detector, export_detector
from clipself_mm.detection.open_vocab_inferencer import OpenVocabInferencer
from tests.commands import load_tool
from tests.detection.tiny_fvit import NAMES, build_fvit, samples, write_detector

pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / 'examples'
EMBEDDINGS = 'model.roi_head.bbox_head.cls_predictor_cfg.embeddings'


@pytest.fixture(scope='module')
def example():
    """The modules of the example, as its scripts import each other."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import onnx_detect
        import onnx_text
    finally:
        sys.path.remove(str(EXAMPLES))
    return onnx_detect, onnx_text


@pytest.fixture(scope='module')
def folder(micro_clip, tmp_path_factory):
    """A random detector with its ONNX files, 128 px, made by the tool."""
    folder = tmp_path_factory.mktemp('onnx')
    write_detector(folder, micro_clip)
    argv = sys.argv
    sys.argv = [str(part) for part in ('export_onnx.py', *words_of(folder))]
    try:
        load_tool('export_onnx').main()
    finally:
        sys.argv = argv
    return folder


def words_of(folder):
    files = [folder / name for name in ('config.py', 'checkpoint.pth', 'detector.onnx')]
    return [*files, '--text', folder / 'text.onnx']


@pytest.fixture(scope='module')
def model(folder):
    return init_detector(str(folder / 'config.py'), str(folder / 'checkpoint.pth'), device='cpu')


def run(file, image, size, embeddings, novel):
    session = onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    given = dict(
        image=image.numpy(),
        image_size=np.array(size),
        embeddings=embeddings.numpy(),
        novel=np.array(novel),
    )
    boxes, scores, labels = session.run(None, given)
    return InstanceData(
        bboxes=torch.from_numpy(boxes),
        scores=torch.from_numpy(scores),
        labels=torch.from_numpy(labels),
    )


def predict(model, image, size):
    """mmdet's own path: a BGR image of `size` through preprocessor and model, padded."""
    height, width = size
    side = image.shape[-1]
    bgr = image[0, [2, 1, 0], :height, :width]
    (sample,) = samples(1, side, img_shape=size, canvas=side)
    data = model.data_preprocessor(dict(inputs=[bgr], data_samples=[sample]))
    assert data['inputs'].shape[-2:] == (side, side)
    with torch.no_grad():
        return model.predict(data['inputs'], data['data_samples'])[0].pred_instances


def assert_same(found, expected, box=1e-3, score=1e-5):
    assert len(found.scores) == len(expected.scores) > 10
    assert (found.scores - expected.scores).abs().max() < score * max(1, expected.scores.max())
    near = (found.bboxes[:, None] - expected.bboxes).abs().amax(dim=-1) < box
    near &= (found.scores[:, None] - expected.scores).abs() < score
    near &= found.labels[:, None] == expected.labels
    assert near.any(dim=0).all()
    assert near.any(dim=1).all()


def scene(side=128, seed=0):
    rough = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    return (255 * torch.nn.functional.interpolate(rough, (side, side), mode='bicubic')).clamp(
        1.5, 255
    )


@pytest.mark.parametrize('size', [(128, 128), (75, 128), (128, 91)])
def test_file_gives_the_boxes_of_pytorch(folder, model, size):
    table = model.roi_head.bbox_head.fc_cls.table()[:-1]
    novel = [name in model.roi_head.bbox_head.train_vocabulary.novel for name in model.classes]
    image = scene(seed=size[0])
    expected = predict(model, image, size)
    assert_same(run(folder / 'detector.onnx', image, size, table, novel), expected)
    assert expected.bboxes[:, 2].max() <= size[1]
    image[:, :, size[0] :], image[:, :, :, size[1] :] = 77, 33  # outside of the image
    assert_same(run(folder / 'detector.onnx', image, size, table, novel), expected)


def test_classes_and_split_are_inputs(folder, model):
    base = model.roi_head.bbox_head.train_vocabulary.base[0]
    names = ['pink elephant', base, 'red star']
    image = scene()
    with model.vocabulary(names):
        expected = predict(model, image, (128, 128))
        table = model.roi_head.bbox_head.fc_cls.table()[:-1]
    split = [True, False, 'red star' not in model.roi_head.bbox_head.train_vocabulary.base]
    found = run(folder / 'detector.onnx', image, (128, 128), 3 * table, split)
    assert_same(found, expected)
    assert set(found.labels.tolist()) == {0, 1, 2}
    other = run(folder / 'detector.onnx', image, (128, 128), table, [False] * 3)
    assert (other.scores[:5] - found.scores[:5]).abs().max() > 1e-4


@pytest.mark.parametrize(
    'changes',
    [
        {'model.test_cfg.rpn.nms_pre': 50, 'model.test_cfg.rpn.max_per_img': 15},
        {'model.test_cfg.rpn.min_bbox_size': 6},
        {'model.test_cfg.rcnn.score_thr': 0.02, 'model.test_cfg.rcnn.max_per_img': 12},
        {
            'model.roi_head.bbox_head.cls_predictor_cfg.background': 'learned',
            'model.roi_head.bbox_roi_extractor.roi_layer.sampling_ratio': 2,
            'model.roi_head.bbox_roi_extractor.roi_layer.aligned': False,
            'model.data_preprocessor.bgr_to_rgb': False,
        },
        {'model.rpn_head.type': 'NormRPNHead', 'model.rpn_head.norm_cfg': dict(type='BN')},
    ],
)
def test_options_of_the_config(changes, micro_clip, folder, tmp_path):
    model = build_fvit(
        micro_clip, seed=1, **changes, **{EMBEDDINGS: folder / 'detector.safetensors'}
    )
    file = export_detector(model, tmp_path / 'x.onnx', (64, 64))
    table = model.roi_head.bbox_head.fc_cls.table()[:-1].detach()
    novel = [name in model.roi_head.bbox_head.train_vocabulary.novel for name in model.classes]
    image = scene(64)
    expected = predict(model, image, (64, 64))
    assert_same(run(file, image, (64, 64), table, novel), expected)
    found = compare_detector(model, file, (64, 64))
    assert found.share == 1
    assert found.boxes > 10


def test_input_that_is_not_square(model, tmp_path):
    export_detector(model, tmp_path / 'x.onnx', (64, 96))
    assert compare_detector(model, tmp_path / 'x.onnx', (64, 96)).share == 1


def test_no_proposal_gives_no_box(model, tmp_path, monkeypatch):
    monkeypatch.setitem(model.test_cfg.rpn, 'min_bbox_size', 500)
    monkeypatch.setitem(model.rpn_head.test_cfg, 'min_bbox_size', 500)
    file = export_detector(model, tmp_path / 'x.onnx', (64, 64))
    table = torch.eye(4, 16)
    assert len(run(file, scene(64), (64, 64), table, [False] * 4)) == 0
    assert compare_detector(model, file, (64, 64)).share == 1


def test_nms_is_per_class():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [30, 30, 40, 40]])
    scores = torch.tensor([[0.9, 0.8, 0.3], [0.2, 0.7, 0.3]])
    kept = ClassNMS.apply(boxes, scores, 0.5, 0.3, 10)
    assert sorted(kept.tolist()) == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'model.data_preprocessor.type': 'DetDataPreprocessor'}, 'SquareDataPreprocessor'),
        ({'model.backbone.dtype': 'bfloat16'}, r'backbone\.dtype is bfloat16'),
        ({'model.roi_head.bbox_head.reg_class_agnostic': False}, 'reg_class_agnostic'),
        ({'model.test_cfg.rcnn.nms.type': 'soft_nms'}, r'rcnn\.nms .*soft_nms'),
    ],
)
def test_what_cannot_be_exported_raises(changes, message, micro_clip, folder):
    model = build_fvit(micro_clip, **changes, **{EMBEDDINGS: folder / 'detector.safetensors'})
    with pytest.raises(ValueError, match=message):
        OnnxDetector(model, (64, 64))


def test_wrong_size_raises(model):
    with pytest.raises(ValueError, match=r'64 x 70 .* 16'):
        OnnxDetector(model, (64, 70))


def test_tool_removes_a_file_that_differs(folder, tmp_path, run_tool, monkeypatch):
    monkeypatch.setattr(
        onnx_export.OnnxDetector, 'forward', half_scores(onnx_export.OnnxDetector.forward)
    )
    words = [folder / 'config.py', folder / 'checkpoint.pth', tmp_path / 'x.onnx']
    with pytest.raises(SystemExit, match=r'x\.onnx: 0\.0% of the .* expected 95%'):
        run_tool('export_onnx', *words, '--size', 64, 64)
    assert not any(tmp_path.iterdir())


def half_scores(forward):
    def changed(self, *inputs):
        boxes, scores, labels = forward(self, *inputs)
        return boxes, scores / 2 + 0.1, labels

    return changed


def test_example_gives_the_boxes_of_the_inferencer(folder, example, tmp_path):
    """For an image of twice the size: OpenCV and the example round other factors differently."""
    onnx_detect, onnx_text = example
    names, embeddings = onnx_text.read_embeddings(folder / 'detector.safetensors')
    session = onnxruntime.InferenceSession(str(folder / 'detector.onnx'))
    pixels = scene(256)[0, :, :180].round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / 'x.png')
    image = Image.open(tmp_path / 'x.png')
    boxes, scores, labels = onnx_detect.detect(session, image, names, embeddings)
    inferencer = OpenVocabInferencer(
        str(folder / 'config.py'), str(folder / 'checkpoint.pth'), 'cpu', show_progress=False
    )
    (expected,) = inferencer(str(tmp_path / 'x.png'), return_datasamples=True)['predictions']
    found = InstanceData(
        bboxes=torch.from_numpy(boxes),
        scores=torch.from_numpy(scores),
        labels=torch.from_numpy(labels),
    )
    assert_same(found, expected.pred_instances)
    assert boxes[:, 3].max() > 128
    assert boxes[:, 3].max() <= 180


def test_resize_is_that_of_opencv(example):
    cv2 = pytest.importorskip('cv2')
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    for width, height in ((40, 30), (50, 45), (100, 75)):
        found = example[0].resize(Image.fromarray(pixels), (width, height))
        assert np.abs(found - cv2.resize(pixels, (width, height))).max() <= 1


def test_example_encodes_names_as_the_text_tower(folder, micro_clip, example):
    names = ['red star', "St. Bernard's_dog", 'cup/mug', 'Öl', 'emoji 🐶 &amp; 12', 'x' * 200]
    expected = TextTower(micro_clip).embed_classes(names)
    found = example[1].embed(str(folder / 'text.onnx'), names)
    assert np.abs(found - expected.numpy()).max() < 1e-5


def test_tokens_of_the_example_are_those_of_open_clip(folder, example):
    session = onnxruntime.InferenceSession(str(folder / 'text.onnx'))
    about = example[1].metadata_of(session)
    texts = [*NAMES, "it's 3 o'clock, isn't it?", 'naïve_café', '   ', '日本 dogs', 'the ' * 90]
    tokenizer = open_clip.SimpleTokenizer(context_length=24)
    found = example[1].tokenize(texts, about['merges'], about['context'])
    assert found.tolist() == tokenizer(texts).tolist()


@pytest.mark.parametrize('given', [('red star', 'pink elephant'), ('red star. pink elephant,',)])
def test_example_draws_what_is_named(folder, example, given, tmp_path, monkeypatch, capsys):
    out = tmp_path / 'found.png'
    words = [folder / 'detector.onnx', folder / 'image.png', '--score-thr', 0, '--out', out]
    words += ['--text', folder / 'text.onnx', '--names', *given]
    monkeypatch.setattr(sys, 'argv', ['onnx_detect.py', *map(str, words)])
    example[0].main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 10
    assert all(line.startswith(('red star  ', 'pink elephant  ')) for line in lines)
    with Image.open(out) as drawn:
        assert drawn.size == (120, 90)


def test_example_is_short_and_needs_three_packages():
    imported = set()
    for name in ('onnx_detect', 'onnx_text'):
        text = (EXAMPLES / f'{name}.py').read_text()
        assert len(text.splitlines()) < 100
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split('.')[0])
    outside = imported - set(sys.stdlib_module_names)
    assert outside == {'numpy', 'PIL', 'onnxruntime', 'onnx_text'}


def test_metadata_of_the_files(folder, model, example):
    session = onnxruntime.InferenceSession(str(folder / 'detector.onnx'))
    base = example[1].metadata_of(session)['base']
    assert base == list(model.roi_head.bbox_head.train_vocabulary.base)
    assert [tuple(given.shape) for given in session.get_inputs()] == [
        (1, 3, 128, 128),
        (2,),
        ('K', 16),
        ('K',),
    ]
