"""CAT-Seg as a whole: what trains, on which classes, and what it answers for images of any size."""

import copy
import types

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg')

from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

import clipself_mm.segmentation  # noqa: F401
from clipself_mm.hooks import VocabularyCheckHook
from clipself_mm.segmentation.cat_seg_head import LEFT_OUT

NAMES = ['red', 'green', 'blue', 'sky', 'road', 'sea', 'tree']
MODEL = dict(
    type='CATSeg',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321375, 70.32316305],
    ),
    backbone=dict(
        type='CATSegBackbone',
        tower=dict(type='CLIPTower', model='pkg:clipself_mm.shapes/tiny_clip'),
        out_indices=(1, 3),
    ),
    decode_head=dict(
        type='CATSegHead',
        vocabulary=NAMES[:4],
        templates=None,
        embed_dim=128,
        tower_width=128,
        channels=16,
        guidance_channels=16,
        layers=1,
        heads=2,
        window=4,
        up_channels=(8, 4),
        up_guidance_channels=(4, 2),
        up_inner_channels=(8, 8),
    ),
    test_cfg=dict(mode='whole'),
)


@pytest.fixture
def build(tmp_path):
    """Builds the model, changed by `key=value` of its head, on embeddings drawn once."""
    torch.manual_seed(0)
    init_default_scope('mmseg')
    path = tmp_path / 'classes.pt'
    torch.save({name: torch.randn(128) for name in NAMES}, path)

    def make(backbone=None, test_cfg=None, **head):
        config = copy.deepcopy(MODEL)
        config['decode_head'].update(embeddings=str(path), **head)
        config['backbone'].update(backbone or {})
        config['test_cfg'] = test_cfg or config['test_cfg']
        torch.manual_seed(1)
        return MODELS.build(config)

    return make


def batch(side=32, count=2, classes=4):
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(count, 3, side, side, generator=generator)
    labels = torch.randint(classes, (count, 1, side, side), generator=generator)
    labels[:, :, :5] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=each)) for each in labels]
    return images, samples


def sample(height, width):
    return SegDataSample(metainfo=dict(ori_shape=(height, width)))


def test_attention_and_head_train_and_nothing_else(build):
    model = build()
    images, samples = batch()
    before = copy.deepcopy(model.state_dict())
    # The schedule of configs/_base_/schedules/cat-seg_80k.py.
    optimizer = build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4),
            clip_grad=dict(max_norm=0.01),
            paramwise_cfg=dict(custom_keys={'backbone.tower': dict(lr_mult=0.01)}),
        ),
    )
    rates = {id(group['params'][0]): group['lr'] for group in optimizer.optimizer.param_groups}
    model.train()
    losses = []
    for _ in range(6):
        loss = model(images, samples, mode='loss')['decode.loss_bce']
        optimizer.update_params(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.97 * losses[0]
    for name, item in model.named_parameters():
        in_tower = name.startswith('backbone.tower')
        trains = not in_tower or 'in_proj' in name or 'positional_embedding' in name
        assert item.requires_grad == trains, name
        assert torch.equal(item, before[name]) != trains, name
        if trains:
            assert rates[id(item)] == pytest.approx(1e-5 if in_tower else 1e-3)


def test_a_frozen_tower_stays(build):
    model = build(backbone=dict(finetune='none'))
    images, samples = batch()
    model.train()
    model(images, samples, mode='loss')['decode.loss_bce'].backward()
    assert all(item.grad is None for item in model.backbone.parameters())
    assert all(item.grad is not None for item in model.decode_head.parameters())
    assert not any(module.training for module in model.backbone.tower.modules())


@pytest.mark.parametrize('mode', [True, False])
def test_modules_of_the_tower_are_never_in_training_mode(build, mode):
    model = build()
    model.train(mode)
    tower = model.backbone.tower
    assert not any(module.training for module in tower.modules() if module is not tower)
    assert tower.training == mode  # for activation checkpointing
    assert model.decode_head.training == mode


def test_recomputed_activations_give_the_same_gradients(build):
    images, samples = batch()
    gradients = []
    for recompute in (False, True):
        model = build(
            backbone=dict(
                tower={**MODEL['backbone']['tower'], 'activation_checkpointing': recompute}
            )
        )
        model.train()
        model(images, samples, mode='loss')['decode.loss_bce'].backward()
        gradients.append(model.backbone.tower.blocks[0].attn.in_proj_weight.grad)
    torch.testing.assert_close(*gradients)


def test_loss_is_a_yes_or_no_for_each_class_on_labelled_pixels(build):
    model = build()
    images, samples = batch()
    losses = model(images, samples, mode='loss')
    head = model.decode_head
    logits = head.segment(model.extract_feat(images), NAMES[:4])
    assert logits.shape == (2, 4, 16, 16)
    logits = F.interpolate(logits, size=(32, 32), mode='bilinear', align_corners=False)
    total = []
    for image, each in enumerate(samples):
        labels = each.gt_sem_seg.data[0, 5:]  # the first five rows are unlabelled
        for label in range(4):
            wanted = (labels == label).float()
            seen = logits[image, label, 5:]
            total.append(F.binary_cross_entropy_with_logits(seen, wanted))
    torch.testing.assert_close(losses['decode.loss_bce'], torch.stack(total).mean())


def test_training_and_prediction_have_classes_of_their_own(build):
    model = build(test_vocabulary=NAMES)
    assert (model.train_classes, model.classes) == (tuple(NAMES[:4]), tuple(NAMES))
    images, samples = batch(classes=4)
    assert model(images, samples, mode='loss')['decode.loss_bce'].isfinite()
    model.eval()
    with torch.no_grad():
        (result,) = model(images[:1], [sample(32, 32)], mode='predict')
    assert result.seg_logits.data.shape == (7, 32, 32)


def test_another_vocabulary_needs_no_other_weights(build):
    model, other = build(), build(vocabulary=NAMES[2:])
    other.load_state_dict(model.state_dict())
    images, _ = batch()
    model.eval()
    other.eval()
    model.set_vocabulary(NAMES[2:])
    with torch.no_grad():
        one, two = model(images, mode='tensor'), other(images, mode='tensor')
    assert one.shape == (2, 5, 16, 16)
    assert torch.equal(one, two)


def test_permuted_classes_permute_the_logits(build):
    model = build(vocabulary=NAMES).eval()
    images, _ = batch()
    order = [4, 2, 6, 0, 1, 5, 3]
    with torch.no_grad():
        before = model(images, mode='tensor')
        model.set_vocabulary([NAMES[i] for i in order])
        after = model(images, mode='tensor')
    torch.testing.assert_close(after, before[:, order])


@pytest.mark.parametrize('size', [(33, 57), (8, 64), (5, 7), (64, 40)])
def test_images_of_any_size(build, size):
    model = build().eval()
    with torch.no_grad():
        (result,) = model(
            torch.randn(1, 3, *size), [sample(2 * size[0], size[1] + 3)], mode='predict'
        )
    assert result.pred_sem_seg.data.shape == (1, 2 * size[0], size[1] + 3)
    assert torch.equal(result.seg_logits.data.argmax(0), result.pred_sem_seg.data[0])
    assert 0 < result.seg_logits.data.min() < result.seg_logits.data.max() < 1


def test_input_size_is_what_the_tower_sees(build):
    model = build(backbone=dict(input_size=48)).eval()
    with torch.no_grad():
        *maps, dense = model.extract_feat(torch.randn(1, 3, 64, 30))
    assert [tuple(item.shape) for item in (*maps, dense)] == 3 * [(1, 128, 6, 6)]
    with pytest.raises(ValueError, match='no multiple of the patch size 8'):
        build(backbone=dict(input_size=50))


def test_best_classes_alone_are_aggregated(build):
    images, _ = batch()
    model = build(vocabulary=NAMES, top_classes=3).eval()
    with torch.no_grad():
        features = model.extract_feat(images)
        logits = model.decode_head(features)
        text = model.decode_head.prompts.encode(NAMES)[:, 0]
        for image in range(2):
            best = torch.einsum('dhw,kd->khw', features[-1][image], text).flatten(1).amax(1)
            kept = sorted(best.argsort(descending=True)[:3].tolist())
            left = [label for label in range(7) if label not in kept]
            assert (logits[image, left] == LEFT_OUT).all()
            alone = [item[image : image + 1] for item in features]
            expected = model.decode_head.segment(alone, [NAMES[label] for label in kept])
            torch.testing.assert_close(logits[image, kept], expected[0])


def test_classes_are_upsampled_in_parts_of_any_size(build):
    model = build(vocabulary=NAMES).eval()
    images, _ = batch()
    with torch.no_grad():
        whole = model(images, mode='tensor')
        model.decode_head.decode_classes = 3
        torch.testing.assert_close(model(images, mode='tensor'), whole)


def test_windows_and_the_whole_image_count_half_each(build):
    settings = dict(mode='slide', crop_size=(8, 8), stride=(4, 4))
    model = build(test_cfg=settings).eval()

    def mean_of_view(view, metas):
        return view.mean(dim=(1, 2, 3), keepdim=True).expand(1, 4, *view.shape[2:])

    model.encode_decode = mean_of_view
    images = torch.zeros(1, 3, 8, 12)
    images[..., 4:8] = 1
    images[..., 8:] = 4
    # Windows: columns 0-7 of mean 0.5 and 4-11 of mean 2.5, both over 4-7. The whole: 5 / 3.
    scores = model.inference(images, [dict(ori_shape=(8, 12))])[0, 0, 0]
    whole = F.interpolate(images, size=(8, 8), mode='bilinear', align_corners=False).mean()
    expected = torch.tensor([0.5] * 4 + [1.5] * 4 + [2.5] * 4)
    torch.testing.assert_close(scores, (expected + whole) / 2)
    model.test_cfg.with_whole = False
    torch.testing.assert_close(
        model.inference(images, [dict(ori_shape=(8, 12))])[0, 0, 0], expected
    )


def test_logits_of_large_vocabularies_may_be_left_out(build):
    model = build(test_cfg=dict(mode='whole', keep_logits=False)).eval()
    with torch.no_grad():
        (result,) = model(torch.randn(1, 3, 16, 16), [sample(16, 16)], mode='predict')
    assert 'seg_logits' not in result
    assert result.pred_sem_seg.data.shape == (1, 16, 16)


def test_text_tower_is_that_of_the_backbone(build):
    config = copy.deepcopy(MODEL)
    config['decode_head'].update(templates=['{}'])
    head = MODELS.build(config).decode_head
    assert head.prompts.text['model'].endswith('shapes/tiny_clip')
    assert head.prompts.encode(['grass']).shape == (1, 1, 128)
    own = dict(model='elsewhere')
    config['decode_head'].update(text=own)
    assert MODELS.build(config).decode_head.prompts.text == own


def test_another_normalisation_is_refused(build):
    config = copy.deepcopy(MODEL)
    config['data_preprocessor'].update(mean=[123.675, 116.28, 103.53])
    with pytest.raises(ValueError, match='normalises with mean'):
        MODELS.build(config)


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        (dict(finetune='all'), ValueError, "attention, none, got 'all'"),
        (dict(out_indices=(1, 4)), ValueError, 'must ascend within 0..3'),
        (
            dict(tower=dict(type='CLIPTower', model='RN50')),
            NotImplementedError,
            'CLIPResNet has none',
        ),
    ],
)
def test_backbone_refuses(build, changes, error, message):
    with pytest.raises(error, match=message):
        build(backbone=changes)


@pytest.mark.parametrize('names', [['red'], [], ['red', 'red'], ['red', '']])
def test_vocabulary_refuses(build, names):
    with pytest.raises(ValueError, match=r'expected|more than once|lists no class'):
        build().set_vocabulary(names)


def test_hook_compares_classes(build):
    def loader(names):
        return types.SimpleNamespace(dataset=types.SimpleNamespace(metainfo=dict(classes=names)))

    hook = VocabularyCheckHook()
    runner = types.SimpleNamespace(
        model=build(test_vocabulary=NAMES),
        train_dataloader=loader(NAMES[:4]),
        val_dataloader=loader(NAMES),
        test_dataloader=loader([*NAMES[:5], 'tree', 'sea']),
    )
    hook.before_train(runner)
    hook.before_val(runner)
    with pytest.raises(ValueError, match=r"from label 5 on \(\['sea', 'tree'\]"):
        hook.before_test(runner)
    runner.train_dataloader = loader(NAMES)
    with pytest.raises(ValueError, match='has 4 classes and the data set 7'):
        hook.before_train(runner)
