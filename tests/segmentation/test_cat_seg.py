"""CAT-Seg as a whole: what trains, on which classes, and what it answers for images of any size."""

import copy
import math
import types
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('mmseg')

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner.checkpoint import load_state_dict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from clipself_mm.hooks import VocabularyCheckHook
from clipself_mm.segmentation import PixelBCELoss
from clipself_mm.segmentation.cat_seg_head import EXCLUDED_LOGIT
from tests.commands import TORCH

ROOT = Path(__file__).parents[2]
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
        finetune='none',
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
    """Builds the model, changed by `key=value` of its head, on embeddings drawn once.

    With `finetune='attention'` on the text tower of its CLIP instead.
    """
    torch.manual_seed(0)
    init_default_scope('mmseg')
    path = tmp_path / 'classes.pt'
    torch.save({name: torch.randn(128) for name in NAMES}, path)

    def make(backbone=None, test_cfg=None, **head):
        config = copy.deepcopy(MODEL)
        source = dict(embeddings=str(path))
        if head.get('finetune') == 'attention':
            source = dict(templates=['{}'])
        config['decode_head'].update({**source, **head})
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


def schedule(model):
    """The optimiser of the configs, at five times the rate of its head."""
    config = Config.fromfile(ROOT / 'configs/_base_/cat-seg_80k.py').optim_wrapper
    config.optimizer.lr = 1e-3
    return build_optim_wrapper(model, config)


def test_trainable_parameters_are_queries_values_and_head(build):
    model = build(finetune='attention')
    images, samples = batch()
    before = copy.deepcopy(model.state_dict())
    optimizer = schedule(model)
    groups = {id(group['params'][0]): group for group in optimizer.optimizer.param_groups}
    norms = {
        id(item)
        for module in model.modules()
        if isinstance(module, (torch.nn.LayerNorm, torch.nn.GroupNorm))
        for item in module.parameters()
    }
    model.train()
    losses = []
    for _ in range(6):
        loss = model(images, samples, mode='loss')['decode.loss_bce']
        optimizer.update_params(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.97 * losses[0]
    trained = dict.fromkeys(['backbone.tower', 'decode_head.prompts', 'decode_head'], 0)
    for name, item in model.named_parameters():
        part = next(key for key in trained if name.startswith(key))
        trains = part == 'decode_head' or name.endswith('attn.in_proj_weight')
        assert item.requires_grad == trains, name
        assert torch.equal(item, before[name]) != trains, name
        if trains:
            trained[part] += 1
            assert groups[id(item)]['lr'] == pytest.approx(1e-3 if part == 'decode_head' else 1e-5)
            assert groups[id(item)]['weight_decay'] == (0 if id(item) in norms else 1e-4)
        if trains and part != 'decode_head':
            pairs = zip(item.chunk(3), before[name].chunk(3), strict=True)
            moved = [not torch.equal(*pair) for pair in pairs]
            queries = 'blocks.4.' not in name or 'text' in name  # the last dense block has none
            assert moved == [queries, False, True], name
    assert trained['backbone.tower'] == len(model.backbone.tower.blocks)
    assert trained['decode_head.prompts'] > 1


def test_text_is_encoded_per_training_step_and_once_in_prediction(build):
    model = build(finetune='attention', test_vocabulary=NAMES)
    images, samples = batch()
    passes, tower = [], model.decode_head.prompts.tower
    tower.text.transformer.register_forward_pre_hook(lambda _, inputs: passes.append(1))
    optimizer = schedule(model)

    def predict():
        model.eval()
        with torch.no_grad():
            return model(images, mode='tensor')

    first = predict()
    assert torch.equal(predict(), first)
    assert len(passes) == 1
    model.train()
    for _ in range(2):
        optimizer.update_params(model(images, samples, mode='loss')['decode.loss_bce'])
    assert len(passes) == 3
    # The rest as before the training: what differs now is the text.
    fresh = build(finetune='attention', test_vocabulary=NAMES)
    fresh.decode_head.prompts.load_state_dict(model.decode_head.prompts.state_dict())
    fresh.eval()
    with torch.no_grad():
        table = fresh.decode_head.prompts(NAMES)
        assert not torch.equal(fresh(images, mode='tensor'), first)
        predict()
        assert torch.equal(model.decode_head.prompts(NAMES), table)
    assert len(passes) == 4


def test_loaded_checkpoint_updates_the_text_table(build):
    model, other = build(finetune='attention').eval(), build(finetune='attention')
    images, _ = batch()
    with torch.no_grad():
        for item in other.decode_head.prompts.tower.parameters():
            item.mul_(1.1)
        expected = other.eval()(images, mode='tensor')
        assert not torch.equal(model(images, mode='tensor'), expected)
        load_state_dict(model, other.state_dict())  # mmengine's
        assert torch.equal(model(images, mode='tensor'), expected)


@pytest.mark.parametrize('settings', [{}, dict(finetune='attention')])
def test_text_of_a_different_clip_raises(build, settings, micro_clip):
    model = build(text=dict(model=micro_clip), embeddings=None, **settings)
    with pytest.raises(ValueError, match=r'\b16\b.*\b128\b'):
        model.train()(*batch(), mode='loss')


def test_invalid_finetune_raises(build):
    with pytest.raises(ValueError, match=r"templates=None.*finetune='none'"):
        build(finetune='attention', templates=None)
    with pytest.raises(ValueError, match=r"finetune.*attention, none.*'all'"):
        build(finetune='all')
    config = copy.deepcopy(MODEL)
    config['decode_head'].update(finetune='attention', templates=['{}'])
    config['backbone']['tower'] = dict(type='CLIPTower', model='ViT-B-32')
    with pytest.raises(ValueError, match=r"finetune='attention'.*checkpoint.*decode_head\.text"):
        MODELS.build(config)


def test_frozen_tower_does_not_change(build):
    model = build(backbone=dict(finetune='none'))
    images, samples = batch()
    model.train()
    model(images, samples, mode='loss')['decode.loss_bce'].backward()
    assert all(item.grad is None for item in model.backbone.parameters())
    assert all(item.grad is not None for item in model.decode_head.parameters())
    assert not any(module.training for module in model.backbone.tower.modules())


@pytest.mark.parametrize('mode', [True, False])
def test_tower_modules_stay_in_eval_mode(build, mode):
    model = build()
    model.train(mode)
    tower = model.backbone.tower
    assert not any(module.training for module in tower.modules() if module is not tower)
    assert tower.training == mode  # for activation checkpointing
    assert model.decode_head.training == mode


def test_activation_checkpointing_gives_the_same_gradients(build):
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


def test_loss_is_binary_and_ignored_pixels_are_negatives(build):
    model = build()
    images, samples = batch()
    losses = model(images, samples, mode='loss')
    head = model.decode_head
    logits = head.segment(model.extract_feat(images), NAMES[:4])
    assert logits.shape == (2, 4, 16, 16)
    logits = F.interpolate(logits, size=(32, 32), mode='bilinear', align_corners=False)
    total = []
    for image, each in enumerate(samples):
        for label in range(4):
            wanted = (each.gt_sem_seg.data[0] == label).float()  # the first five rows are 255
            total.append(F.binary_cross_entropy_with_logits(logits[image, label], wanted))
    torch.testing.assert_close(losses['decode.loss_bce'], torch.stack(total).mean())


def test_loss_by_hand():
    """Probabilities 1/2, 3/4 | 1/4, 1/2 of two classes at two pixels, the second one ignored."""
    logits = torch.tensor([0.0, math.log(3), -math.log(3), 0.0]).view(1, 2, 1, 2)
    loss = PixelBCELoss()(logits, torch.tensor([[[0, 255]]]))
    # yes to 1/2, no to 1/4; no to 3/4 and to 1/2
    expected = -(math.log(1 / 2) + math.log(3 / 4) + math.log(1 / 4) + math.log(1 / 2)) / 4
    assert loss.item() == pytest.approx(expected)
    weight = torch.tensor([[[1.0, 0.0]]])
    half = PixelBCELoss(loss_weight=2)(logits, torch.tensor([[[0, 255]]]), weight)
    assert half.item() == pytest.approx(-2 * (math.log(1 / 2) + math.log(3 / 4)) / 4)


@pytest.mark.skipif(TORCH < (2, 2), reason='half precision aborts backward on processors here')
def test_half_precision_trains_both_towers(build):
    model = build(finetune='attention')
    images, samples = batch()
    model.train()
    whole = model(images, samples, mode='loss')['decode.loss_bce']
    with torch.autocast('cpu', torch.bfloat16):
        half = model(images, samples, mode='loss')['decode.loss_bce']
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, rtol=2e-2, atol=0)
    half.backward()
    for tower in (model.backbone.tower, model.decode_head.prompts.tower):
        gradients = [item.grad for item in tower.parameters() if item.requires_grad]
        assert all(each.isfinite().all() and each.abs().sum() > 0 for each in gradients)


def test_shallow_block_guides_the_first_stage(build):
    """Of maps from blocks 1 and 3, the first stage, of twice the grid, sees block 1's."""
    model = build().eval()
    images, _ = batch()
    seen = []
    for project in model.decode_head.upsampling.guidance:
        project.register_forward_hook(lambda _, inputs, out: seen.append((inputs[0], out.shape)))
    with torch.no_grad():
        model(images, mode='tensor')
        shallow, deep = model.backbone.tower.stages(images, (1, 3))[0]
    assert torch.equal(seen[0][0], shallow)
    assert torch.equal(seen[1][0], deep)
    assert [shape[2:] for _, shape in seen] == [(8, 8), (16, 16)]


def test_training_and_prediction_have_separate_classes(build):
    model = build(test_vocabulary=NAMES)
    assert (model.train_classes, model.classes) == (tuple(NAMES[:4]), tuple(NAMES))
    images, samples = batch(classes=4)
    assert model(images, samples, mode='loss')['decode.loss_bce'].isfinite()
    model.eval()
    with torch.no_grad():
        (result,) = model(images[:1], [sample(32, 32)], mode='predict')
    assert result.seg_logits.data.shape == (7, 32, 32)


def test_weights_do_not_depend_on_the_vocabulary(build):
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


def test_images_are_resized_to_input_size(build):
    model = build(backbone=dict(input_size=48)).eval()
    with torch.no_grad():
        *maps, dense = model.extract_feat(torch.randn(1, 3, 64, 30))
    assert [tuple(item.shape) for item in (*maps, dense)] == 3 * [(1, 128, 6, 6)]
    with pytest.raises(ValueError, match=r'input_size.*\b8\b.*\b50\b'):
        build(backbone=dict(input_size=50))


def test_only_the_best_classes_are_aggregated(build):
    images, _ = batch()
    model = build(vocabulary=NAMES, top_classes=3).eval()
    with torch.no_grad():
        features = model.extract_feat(images)
        logits = model.decode_head(features)
        text = model.decode_head.prompts(NAMES)[:, 0]
        for image in range(2):
            best = torch.einsum('dhw,kd->khw', features[-1][image], text).flatten(1).amax(1)
            kept = sorted(best.argsort(descending=True)[:3].tolist())
            left = [label for label in range(7) if label not in kept]
            assert (logits[image, left] == EXCLUDED_LOGIT).all()
            alone = [item[image : image + 1] for item in features]
            expected = model.decode_head.segment(alone, [NAMES[label] for label in kept])
            torch.testing.assert_close(logits[image, kept], expected[0])


def test_decode_classes_does_not_change_the_result(build):
    model = build(vocabulary=NAMES).eval()
    images, _ = batch()
    with torch.no_grad():
        whole = model(images, mode='tensor')
        model.decode_head.decode_classes = 3
        torch.testing.assert_close(model(images, mode='tensor'), whole)


def test_windows_and_whole_image_are_averaged(build):
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


def test_keep_logits_false_drops_the_logits(build):
    model = build(test_cfg=dict(mode='whole', keep_logits=False)).eval()
    with torch.no_grad():
        (result,) = model(torch.randn(1, 3, 16, 16), [sample(16, 16)], mode='predict')
    assert 'seg_logits' not in result
    assert result.pred_sem_seg.data.shape == (1, 16, 16)


def test_text_tower_is_that_of_the_backbone_clip(build):
    config = copy.deepcopy(MODEL)
    config['decode_head'].update(templates=['{}'])
    head = MODELS.build(config).decode_head
    assert head.prompts.text['model'].endswith('shapes/tiny_clip')
    assert head.prompts(['grass']).shape == (1, 1, 128)
    assert head.prompts.tower is None  # nothing of it trains, so no checkpoint has it
    own = dict(model='elsewhere')
    config['decode_head'].update(text=own)
    assert MODELS.build(config).decode_head.prompts.text == own


def test_wrong_normalisation_raises(build):
    config = copy.deepcopy(MODEL)
    config['data_preprocessor'].update(mean=[123.675, 116.28, 103.53])
    with pytest.raises(ValueError, match=r'data_preprocessor.*mean=\[123\.675.*\[122\.7709'):
        MODELS.build(config)


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        (dict(finetune='all'), ValueError, "finetune.*attention, none.*'all'"),
        (dict(out_indices=(1, 4)), ValueError, r'out_indices.*\[1, 4\].*\b3\b'),
        (
            dict(tower=dict(type='CLIPTower', model='RN50')),
            NotImplementedError,
            'CATSegBackbone.*CLIPResNet',
        ),
    ],
)
def test_invalid_backbone_raises(build, changes, error, message):
    with pytest.raises(error, match=message):
        build(backbone=changes)


@pytest.mark.parametrize(
    ('names', 'found'),
    [
        (['red'], r"two.*\['red'\]"),
        ([], r'classes.*\[\]'),
        (['red', 'red'], r"classes.*\['red'\]"),
        (['red', ''], r"\['red', ''\]"),
    ],
)
def test_invalid_vocabulary_raises(build, names, found):
    with pytest.raises(ValueError, match=found):
        build().set_vocabulary(names)


def test_vocabulary_hook_compares_classes(build):
    def loader(names):
        return types.SimpleNamespace(dataset=types.SimpleNamespace(metainfo=dict(classes=names)))

    hook = VocabularyCheckHook()
    runner = types.SimpleNamespace(
        model=build(test_vocabulary=NAMES),
        train_dataloader=loader(NAMES[:4]),
        val_dataloader=loader(NAMES),
        test_dataloader=loader([*NAMES[:5], 'tree', 'sea']),
        val_loop=None,
    )
    hook.before_train(runner)
    hook.before_val(runner)
    with pytest.raises(ValueError, match=r"CATSeg.*\b5\b.*\['sea', 'tree'\].*\['tree', 'sea'\]"):
        hook.before_test(runner)
    runner.train_dataloader = loader(NAMES)
    with pytest.raises(ValueError, match=r'CATSeg.*\b4\b.*\b7\b'):
        hook.before_train(runner)
