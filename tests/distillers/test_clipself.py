"""CLIPSelf: loss, trained and frozen parameters, validation."""

import copy
import gc
import logging
import weakref

import pytest
import torch

from clipself_mm.clip import text_embeddings
from clipself_mm.distillers import CLIPSelf, RegionRecognizer
from tests.distillers.micro_clipself import make_batch, make_model
from tests.logs import logged


def test_loss_is_the_mean_over_all_regions_by_a_plain_loop(micro_clip):
    model = make_model(micro_clip)
    inputs, samples = make_batch([3, 1])
    with torch.no_grad():
        loss = model(inputs, samples, mode='loss')['loss_cosine']
        dense = model.student.encode_dense(inputs['images'])
        target = model.teacher.encode_image(inputs['crops'])
    from torchvision.ops import roi_align

    distances, region = [], 0
    for image, sample in enumerate(samples):
        for box in sample.regions.boxes_px:
            rois = torch.cat([torch.zeros(1), box])[None]
            pooled = roi_align(dense[image][None], rois, 1, 1 / 8, -1, True).flatten()
            wanted = target[region]
            distances.append(1 - pooled @ wanted / pooled.norm() / wanted.norm())
            region += 1
    assert loss == pytest.approx(torch.stack(distances).mean().item(), rel=1e-5)


@pytest.mark.parametrize('most', [1, 3, 4, 9])
def test_a_teacher_given_few_crops_at_once_gives_the_same_targets(micro_clip, most):
    calls = []
    model = make_model(micro_clip, teacher_batch=most)
    inputs, samples = make_batch([3, 1])
    whole = model.teacher.encode_image(inputs['crops'])
    encode = model.teacher.encode_image
    model.teacher.encode_image = lambda crops: calls.append(len(crops)) or encode(crops)
    torch.testing.assert_close(model.targets(inputs['crops'], samples), whole)
    assert calls == {1: [1, 1, 1, 1], 3: [3, 1], 4: [4], 9: [4]}[most]


def test_crops_of_another_size_than_the_teachers_are_warned_about_once(micro_clip):
    model = make_model(micro_clip)
    inputs, samples = make_batch([2])
    with logged(logging.WARNING) as lines:
        model.targets(inputs['crops'], samples)
        assert not lines
        for _ in range(2):
            model.targets(torch.zeros(2, 3, 48, 48), samples)
    (line,) = lines
    assert '48 x 48' in line
    assert 'size=32' in line


def test_a_teacher_in_bfloat16_keeps_its_weights_and_leaves_the_student_alone(micro_clip):
    torch.manual_seed(0)
    model = make_model(micro_clip, teacher_dtype='bfloat16').train()
    inputs, samples = make_batch([3, 1])
    exact = model.teacher.encode_image(inputs['crops'])
    coarse = model.targets(inputs['crops'], samples)
    assert coarse.dtype == torch.bfloat16
    assert not coarse.float().equal(exact)
    assert torch.cosine_similarity(coarse.float(), exact).min() > 0.999
    loss = model(inputs, samples, mode='loss')['loss_cosine']
    loss.backward()
    assert loss.dtype == torch.float32
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_text_tower_is_there_before_the_first_step_only(micro_clip, monkeypatch):
    alive, made = weakref.WeakSet(), []

    class CountedTextTower(text_embeddings.TextTower):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            alive.add(self)
            made.append(len(alive))

    monkeypatch.setattr(text_embeddings, 'TextTower', CountedTextTower)
    classifier = dict(vocabulary='shapes_ov', text=dict(model=micro_clip))
    model = make_model(micro_clip, classifier=classifier)
    assert made == []
    model.train()
    gc.collect()
    assert made == [1]
    assert len(alive) == 0
    model(*make_batch([2, 1]), mode='loss')['loss_cosine'].backward()
    for _ in range(2):
        model.eval()(*make_batch([2, 1]), mode='predict')
    assert made == [1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(teacher_dtype='int8'), "dtype.*'int8'"),
        (dict(teacher_batch=0), r'teacher_batch.*\b0\b'),
    ],
)
def test_invalid_teacher_options_raise(micro_clip, options, message):
    with pytest.raises(ValueError, match=message):
        make_model(micro_clip, **options)


def test_training_changes_unlocked_blocks_and_nothing_else(micro_clip):
    model = make_model(micro_clip, unlocked_blocks=2).train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        model(*make_batch([4, 2], seed=step), mode='loss')['loss_cosine'].backward()
        optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    blocks = {f'student.visual.transformer.resblocks.{i}.' for i in (1, 2)}
    assert changed
    assert {key for key in changed if not key.startswith(tuple(blocks))} == set()
    assert all(any(key.startswith(block) for key in changed) for block in blocks)
    assert not model.teacher.training


def test_a_batch_without_regions_gives_zero_gradients(micro_clip):
    model = make_model(micro_clip).train()
    loss = model(*make_batch([0, 0]), mode='loss')['loss_cosine']
    loss.backward()
    assert loss.item() == 0
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and not p.grad.any() for p in trainable)


def test_locked_blocks_keep_no_activations(micro_clip):
    model = make_model(micro_clip, unlocked_blocks=1).train()
    tracked = []
    for block in model.student.blocks:
        block.ln_2.register_forward_hook(
            lambda _, __, output: tracked.append(output.grad_fn is not None)
        )
    model.student.encode_dense(torch.randn(1, 3, 64, 64))
    assert tracked == [False, False, True]


def test_student_and_teacher_start_from_the_same_weights():
    model = CLIPSelf(
        tower=dict(type='CLIPTower', model='ViT-S-32'),
        data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
    )
    teacher = model.teacher.state_dict()
    assert all(value.equal(teacher[key]) for key, value in model.student.state_dict().items())


def test_regions_without_crops_raise(micro_clip):
    inputs, samples = make_batch([2])
    inputs['crops'] = inputs['crops'][:1]
    with pytest.raises(ValueError, match=r'\b2\b.*\b1\b'):
        make_model(micro_clip)(inputs, samples, mode='loss')


def test_predict_without_classifier_says_what_is_missing(micro_clip):
    with pytest.raises(ValueError, match=r'model\.classifier'):
        make_model(micro_clip)(*make_batch([1]), mode='predict')


def test_predict_ranks_classes_by_each_feature(micro_clip, tmp_path):
    classes = ['alpha', 'beta', 'gamma']
    vocabulary = tmp_path / 'three.txt'
    vocabulary.write_text('\n'.join(classes))
    torch.manual_seed(0)
    vectors = torch.randn(3, 16)
    torch.save(dict(zip(classes, vectors, strict=True)), tmp_path / 'three.pt')
    model = make_model(
        micro_clip,
        classifier=dict(vocabulary=str(vocabulary), embeddings=str(tmp_path / 'three.pt'), topk=2),
    ).eval()
    inputs, samples = make_batch([2, 3])
    for sample in samples:
        sample.regions.masks = torch.ones(len(sample.regions), 8, 8, dtype=torch.bool)
    first, second = model(inputs, samples, mode='predict')
    with torch.no_grad():
        crops = model.student.encode_image(inputs['crops'])
    cosine = torch.nn.functional.cosine_similarity(crops[:, None], vectors[None], dim=-1)
    expected = cosine.argsort(dim=1, descending=True)[:, :2]
    assert first.pred_regions.crops_topk.equal(expected[:2])
    assert second.pred_regions.crops_topk.equal(expected[2:])
    # One mask over the whole image: every region of an image pools the same feature.
    assert len(second.pred_regions.masks_topk.unique(dim=0)) == 1
    assert second.pred_regions.boxes_topk.shape == (3, 2)


@pytest.mark.parametrize('name', ['mean', 'std'])
def test_wrong_normalisation_raises(micro_clip, name):
    siglip = dict(type='RegionPreprocessor', image_size=64, **{name: (0.5, 0.5, 0.5)})
    tower = dict(type='CLIPTower', model=micro_clip)
    with pytest.raises(ValueError, match=rf'data_preprocessor.*{name}=\[0\.5, 0\.5, 0\.5\]'):
        CLIPSelf(tower=tower, data_preprocessor=siglip)
    with pytest.raises(ValueError, match=rf'data_preprocessor.*{name}=\[0\.5, 0\.5, 0\.5\]'):
        RegionRecognizer(
            tower=tower,
            classifier=dict(vocabulary='shapes_ov', text=dict(model=micro_clip)),
            data_preprocessor=siglip,
        )


def test_padding_of_the_crops_does_not_change_the_loss(micro_clip):
    plain, padded = (make_model(micro_clip, **o) for o in ({}, dict(teacher_multiple=8)))
    padded.load_state_dict(plain.state_dict())
    shapes = []
    padded.teacher.visual.conv1.register_forward_hook(
        lambda _, inputs, __: shapes.append(len(inputs[0]))
    )
    for counts in ([3, 2], [0, 9], [0, 0], [8]):
        one, other = (model.loss(*make_batch(counts)) for model in (plain, padded))
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    assert shapes == [8, 16, 8]


def test_a_multiple_of_no_crops_is_refused(micro_clip):
    with pytest.raises(ValueError, match=r'teacher_multiple.*0'):
        make_model(micro_clip, teacher_multiple=0)
