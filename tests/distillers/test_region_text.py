"""The region-text baseline and its pseudo labels, on a micro CLIP."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torchvision.ops import roi_align

from clipself_mm.clip import TextTower, read_state
from clipself_mm.datasets import RegionSample
from clipself_mm.distillers import RegionPseudoLabeler
from clipself_mm.distillers.region_pseudo_labeler import match_nouns
from clipself_mm.hooks import WeightEnsembleHook
from tests.distillers.micro_clipself import make_batch
from tests.factories import write_micro_clip

NOUNS = ['cup', 'dog', 'pen', 'tree']


@pytest.fixture
def nouns(tmp_path):
    """Arguments of noun_embeddings: a vocabulary and a file of random vectors."""
    (tmp_path / 'four.txt').write_text('\n'.join(NOUNS))
    vectors = torch.randn(4, 16, generator=torch.Generator().manual_seed(3))
    torch.save(dict(zip(NOUNS, vectors, strict=True)), tmp_path / 'four.pt')
    return dict(vocabulary=str(tmp_path / 'four.txt'), embeddings=str(tmp_path / 'four.pt'))


def make_model(micro_clip, nouns, **options):
    return MODELS.build(
        dict(
            type='RegionText',
            tower=dict(type='CLIPTower', model=micro_clip),
            data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
            nouns=nouns,
            **options,
        )
    )


def make_pairs(counts, seed=0):
    """A batch without crops, as of `RegionTextPairs`; labels 0, 1, 2, ... over all regions."""
    inputs, samples = make_batch(counts, seed)
    inputs['crops'] = inputs['images'].new_empty(0, 3, 1, 1)
    labels = torch.arange(sum(counts)) % 4
    for sample, own in zip(samples, labels.split(counts), strict=True):
        sample.regions.labels = own
    return inputs, samples


def test_the_host_reads_the_labels_before_the_student_runs(micro_clip, nouns, monkeypatch):
    """A device has little to do then; it has the whole forward pass where the loss is computed."""
    model, order = make_model(micro_clip, nouns), []
    for name, owner in (('sample', model.region_text_loss), ('encode_dense', model.student)):
        method = getattr(owner, name)

        def noted(*args, name=name, method=method):
            order.append(name)
            return method(*args)

        monkeypatch.setattr(owner, name, noted)
    model(*make_pairs([3, 2]), mode='loss')
    assert order == ['sample', 'encode_dense']


def test_loss_by_a_plain_loop(micro_clip, nouns):
    model = make_model(micro_clip, nouns)
    inputs, samples = make_pairs([3, 2])
    scale = read_state(model.student.source.checkpoint)['logit_scale'].exp()
    vectors = torch.load(nouns['embeddings'])
    total, label = 0, 0
    with torch.no_grad():
        loss = model(inputs, samples, mode='loss')['loss_region_text']
        dense = model.student.encode_dense(inputs['images'])
        for image, sample in enumerate(samples):
            for box in sample.regions.boxes_px:
                rois = torch.cat([torch.zeros(1), box])[None]
                pooled = roi_align(dense[image][None], rois, 1, 1 / 8, -1, True).flatten()
                for name in NOUNS:
                    cosine = pooled @ vectors[name] / pooled.norm() / vectors[name].norm()
                    sign = 1 if name == NOUNS[label % 4] else -1
                    total += torch.log1p((-sign * scale * cosine).exp())
                label += 1
    assert loss.item() == pytest.approx(total.item() / 5, rel=1e-4)


def test_training_changes_unlocked_blocks_and_nothing_else(micro_clip, nouns):
    model = make_model(micro_clip, nouns, unlocked_blocks=2).train()
    before = copy.deepcopy(model.state_dict())
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=0.1)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = model(*make_pairs([4, 2]), mode='loss')['loss_region_text']
        loss.backward()
        assert all(p.grad is not None for p in trainable)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    blocks = tuple(f'student.visual.transformer.resblocks.{i}.' for i in (1, 2))
    assert {key for key in changed if not key.startswith(blocks)} == set()
    assert all(any(key.startswith(block) for key in changed) for block in blocks)
    assert not model.teacher.training
    assert model.logit_scale.item() == pytest.approx(1 / 0.07, rel=1e-5)


def test_a_batch_without_regions_gives_zero_gradients(micro_clip, nouns):
    model = make_model(micro_clip, nouns).train()
    loss = model(*make_pairs([0, 0]), mode='loss')['loss_region_text']
    loss.backward()
    assert loss.item() == 0
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and not p.grad.any() for p in trainable)


def test_the_blend_of_student_and_teacher_is_swapped_in_for_validation(micro_clip, nouns):
    """WeightEnsembleHook works as with CLIPSelf."""
    model = make_model(micro_clip, nouns)
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.add_(1)
    raw = copy.deepcopy(model.student.state_dict())
    runner = SimpleNamespace(
        model=model, message_hub=SimpleNamespace(runtime_info={}), work_dir='nowhere'
    )
    hook = WeightEnsembleHook(alpha=0.25, export=False)
    hook.before_val_epoch(runner)
    for key, value in model.student.state_dict().items():
        torch.testing.assert_close(value, 0.25 * raw[key] + 0.75 * model.teacher.state_dict()[key])
    hook.after_val_epoch(runner)
    assert all(value.equal(raw[key]) for key, value in model.student.state_dict().items())


@pytest.mark.parametrize('text', [None, 'other'])
def test_nouns_by_the_text_tower_are_its_class_embeddings(micro_clip, nouns, text, tmp_path):
    """That of the model's own tower, unless the config names another."""
    del nouns['embeddings']
    clip = micro_clip
    if text is not None:
        clip = write_micro_clip(tmp_path / text, seed=5)
        nouns['text'] = dict(model=clip)
    expected = TextTower(clip).embed_classes(NOUNS)
    for model in (make_model(micro_clip, nouns), make_matcher(micro_clip, nouns)):
        torch.testing.assert_close(model.train().nouns.table, expected)


def test_noun_embeddings_of_wrong_width_raise(micro_clip, nouns):
    torch.save({name: torch.ones(8) for name in NOUNS}, nouns['embeddings'])
    with pytest.raises(ValueError, match=r'four\.pt.*\b8\b.*\b16\b'):
        make_model(micro_clip, nouns).train()


def test_a_label_out_of_range_raises(micro_clip, nouns):
    inputs, samples = make_pairs([2])
    samples[0].regions.labels = torch.tensor([1, 4])
    with pytest.raises(ValueError, match=r'\b1\b.*\b4\b.*\b4\b.*model\.nouns'):
        make_model(micro_clip, nouns)(inputs, samples, mode='loss')


def test_nouns_compete_within_the_image_only():
    nouns = torch.eye(3)
    crops = torch.tensor([[3.0, 0, 4], [0, 0, 2], [-1, 0, 0]])
    labels, scores = match_nouns(crops, nouns, [0, 1])
    assert labels.tolist() == [0, 0, 1]
    assert scores.tolist() == pytest.approx([0.6, 0, 0])
    labels, scores = match_nouns(crops, nouns, [2])
    assert labels.tolist() == [2, 2, 2]
    assert scores.tolist() == pytest.approx([0.8, 1, 0])
    labels, scores = match_nouns(torch.zeros(0, 3), nouns, [2])
    assert (labels.shape, labels.dtype, scores.shape) == ((0,), torch.int64, (0,))


def make_matcher(micro_clip, nouns):
    return RegionPseudoLabeler(
        tower=dict(type='CLIPTower', model=micro_clip),
        nouns=nouns,
        data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
    ).eval()


def test_pseudo_labeler_uses_the_crops(micro_clip, nouns):
    model = make_matcher(micro_clip, nouns)
    inputs, samples = make_batch([3, 0, 2])
    named = [[0, 2, 3], [1], [1, 2]]
    for sample, labels in zip(samples, named, strict=True):
        sample.set_metainfo(dict(noun_labels=labels))
    found = model(inputs, samples, mode='predict')
    embedded = model(inputs, samples, mode='tensor')
    torch.testing.assert_close(embedded, model.tower.encode_image(inputs['crops']))
    vectors = torch.stack(list(torch.load(nouns['embeddings']).values()))
    cosine = torch.nn.functional.cosine_similarity(embedded[:, None], vectors[None], dim=-1)
    crop = 0
    for sample, labels in zip(found, named, strict=True):
        assert len(sample.pred_regions) == len(sample.regions)
        for label, score in zip(
            sample.pred_regions.labels, sample.pred_regions.scores, strict=True
        ):
            assert label == max(labels, key=lambda k, row=cosine[crop]: row[k])
            assert score.item() == pytest.approx(cosine[crop, label].item(), abs=1e-6)
            crop += 1
    assert crop == 5
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ['unused']


def test_pseudo_labeler_raises_on_invalid_samples(micro_clip, nouns):
    model = make_matcher(micro_clip, nouns)
    inputs, samples = make_batch([2])
    samples[0].set_metainfo(dict(img_path='a.png', noun_labels=[]))
    with pytest.raises(ValueError, match=r'a\.png.*CaptionedRegions'):
        model(inputs, samples, mode='predict')
    more = RegionSample(regions=InstanceData(boxes_px=torch.zeros(1, 4)))
    with pytest.raises(ValueError, match=r'\b3\b.*\b2\b'):
        model(inputs, [*samples, more], mode='predict')
    with pytest.raises(NotImplementedError, match=r'RegionPseudoLabeler.*tools/test\.py'):
        model(inputs, samples, mode='loss')


def test_validation_as_for_clipself(micro_clip, nouns):
    inputs, samples = make_batch([2])
    with pytest.raises(ValueError, match=r'RegionText.*model\.classifier'):
        make_model(micro_clip, nouns)(inputs, samples, mode='predict')
    model = make_model(micro_clip, nouns, classifier=dict(**nouns, topk=2)).eval()
    found = model(inputs, samples, mode='predict')[0].pred_regions
    assert found.boxes_topk.shape == found.crops_topk.shape == (2, 2)
