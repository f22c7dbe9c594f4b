"""The tiny CLIP: its training resumes exactly, and the shipped weights are what the card says."""

import json
import math
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from PIL import Image

from clipself_mm.clip import build_tower, roi_pool
from clipself_mm.shapes.classes import ALL_CLASSES
from clipself_mm.shapes.scene import mask_box
from clipself_mm.shapes.scenes import render_scene
from projects.tiny_clip.captions import overlap_targets
from projects.tiny_clip.model import (
    IMAGE_TOWERS,
    TINY_CLIP,
    build_tiny_clip,
    export_tiny_clip,
    load_tiny_clip,
    normalise_pixels,
)
from projects.tiny_clip.training import TrainingPlan, contrastive_loss, train_tiny_clip
from projects.tiny_clip.zero_shot import class_weights, zero_shot_accuracy

PLAN = TrainingPlan(steps=4, batch=6, scenes=4, singles=4, warmup=2)


def silent(_line):
    return None


def test_learning_rate_by_hand():
    plan = TrainingPlan(steps=110, warmup=10, lr=0.4)
    assert plan.lr_at(0) == pytest.approx(0.04)
    assert plan.lr_at(9) == pytest.approx(0.4)
    assert plan.lr_at(60) == pytest.approx(0.2)
    assert plan.lr_at(109) == pytest.approx(0.2 * (1 + math.cos(0.99 * math.pi)))
    again = TrainingPlan(steps=210, restart=110, warmup=10, lr=0.4)
    assert again.lr_at(60) == pytest.approx(0.2)
    assert again.lr_at(110) == pytest.approx(0.2)
    assert again.lr_at(160) == pytest.approx(0.1)


def test_contrastive_loss_by_hand():
    """Two orthogonal pairs at scale log 3: softmax (3/4, 1/4), so the loss is log(4/3)."""
    image, text = torch.tensor([[2.0, 0], [0, 5]]), torch.tensor([[1.0, 0], [0, 3]])
    scale = torch.tensor(3.0).log()
    assert contrastive_loss(image, text, torch.eye(2), scale) == pytest.approx(math.log(4 / 3))
    shared = torch.from_numpy(overlap_targets([[1], [1]]))
    mean = (math.log(4 / 3) + math.log(4)) / 2
    assert contrastive_loss(image, text, shared, scale) == pytest.approx(mean)


@pytest.mark.slow
@pytest.mark.parametrize('tower', IMAGE_TOWERS)
def test_resume_gives_the_same_weights(tmp_path, tower):
    options = dict(report=silent, check_scenes=2, tower=tower)
    whole = train_tiny_clip(PLAN, tmp_path / 'whole', **options)

    def stop_after_three(steps):
        for step in steps:
            if len(steps) == PLAN.steps and step == 3 and steps[0] == 0:
                raise KeyboardInterrupt
            yield step

    with pytest.raises(KeyboardInterrupt):
        train_tiny_clip(
            PLAN,
            tmp_path / 'broken',
            progress=stop_after_three,
            report_every=2,
            **options,
        )
    lines = []
    resumed = train_tiny_clip(
        PLAN, tmp_path / 'broken', resume=True, **(options | dict(report=lines.append))
    )
    assert len(lines) == 1
    assert lines[0].startswith('step 4: loss ')
    start = build_tiny_clip(PLAN.seed, tower).state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    last = {'vit': 'visual.proj', 'resnet': 'visual.attnpool.c_proj.weight'}[tower]
    assert not torch.equal(start[last], whole.state_dict()[last])
    another = next(name for name in IMAGE_TOWERS if name != tower)
    for plan, asked in ((replace(PLAN, steps=5), tower), (PLAN, another)):
        asks = rf"'{tower}'.*'steps': {PLAN.steps},.*'{asked}'.*'steps': {plan.steps},"
        with pytest.raises(ValueError, match=rf'checkpoint\.pth.*{asks}'):
            train_tiny_clip(plan, tmp_path / 'broken', resume=True, **(options | dict(tower=asked)))


@pytest.mark.parametrize('tower', IMAGE_TOWERS)
def test_export_loads_with_open_clip(tmp_path, tower):
    model = build_tiny_clip(3, tower)
    for name, buffer in model.named_buffers():
        if name.endswith('num_batches_tracked'):
            buffer.fill_(2999)  # half precision has no odd numbers there
        elif name.endswith('running_var'):
            buffer.fill_(1e-9)  # nor anything that small
    path = export_tiny_clip(model, tmp_path / 'clip', tower)
    names = ['open_clip_config.json', 'open_clip_model.safetensors']
    assert sorted(item.name for item in path.parent.iterdir()) == names
    loaded = load_tiny_clip(tmp_path / 'clip')
    parameters = dict(model.named_parameters())
    for name, value in model.state_dict().items():
        expected = value.half().float() if name in parameters else value
        assert torch.equal(expected, loaded.state_dict()[name]), name


def test_resnet_has_attention_pooling():
    """Same text tower and seed, another image tower: 64 px, stride 32, 1 to 2.5 M parameters."""
    model = build_tiny_clip(0, 'resnet')
    assert isinstance(model.visual, ModifiedResNet)
    assert model.visual.image_size == 64
    assert 1.0e6 <= sum(p.numel() for p in model.visual.parameters()) <= 2.5e6
    with torch.no_grad():
        stages = model.visual.forward_intermediates(torch.zeros(1, 3, 64, 64))
    assert stages['image_intermediates'][-1].shape == (1, 512, 2, 2)
    assert stages['image_features'].shape == (1, 128)
    vit = build_tiny_clip(0)
    assert {n: p.shape for n, p in model.transformer.named_parameters()} == {
        n: p.shape for n, p in vit.transformer.named_parameters()
    }
    with pytest.raises(ValueError, match=r"'cnn'.*\['resnet', 'vit'\]"):
        build_tiny_clip(0, 'cnn')


def test_shipped_files():
    model, _, preprocess = open_clip.create_model_and_transforms(f'local-dir:{TINY_CLIP}')
    assert (TINY_CLIP / 'open_clip_model.safetensors').stat().st_size < 12 * 2**20
    assert (TINY_CLIP / 'README.md').is_file()
    visual = sum(parameter.numel() for parameter in model.visual.parameters())
    assert 1.0e6 <= visual <= 2.5e6
    assert model.visual.image_size == (64, 64)
    config = json.loads((TINY_CLIP / 'open_clip_config.json').read_text())['preprocess_cfg']
    assert tuple(config['mean']) == open_clip.OPENAI_DATASET_MEAN
    assert tuple(config['std']) == open_clip.OPENAI_DATASET_STD
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ours = normalise_pixels(picture[None])[0]
    torch.testing.assert_close(preprocess(Image.fromarray(picture)), ours)


def test_longest_prompt_fits_the_context():
    tokenizer = open_clip.get_tokenizer(f'local-dir:{TINY_CLIP}')
    from clipself_mm.clip import expand_prompts

    tokens = tokenizer([text for name in ALL_CLASSES for text in expand_prompts(name)])
    assert tokens.shape == (73 * 63, 32)
    assert (tokens[:, -1] == 0).all()


@pytest.mark.slow
def test_shipped_weights_classify_crops_but_not_dense_features():
    """The gap CLIPSelf closes: crops at least 80%, dense box features at most 15%."""
    model = load_tiny_clip()
    tokenizer = open_clip.get_tokenizer(f'local-dir:{TINY_CLIP}')
    prompts = slice(0, 63, 9)
    assert zero_shot_accuracy(model, tokenizer, scenes=30, prompts=prompts)['top1'] > 80
    tower = build_tower(f'local-dir:{TINY_CLIP}').eval()
    weights = class_weights(model, tokenizer, prompts)
    hits, total = 0, 0
    with torch.no_grad():
        for index in range(500_000, 500_030):
            scene = render_scene(0, index)
            numbers = scene.annotated()
            boxes = torch.tensor([mask_box(scene.visible_mask(n)) for n in numbers]).float()
            dense = tower.encode_dense(normalise_pixels(scene.image[None]))
            guess = (roi_pool(dense, [boxes], tower.patch_size) @ weights.T).argmax(dim=1)
            labels = torch.tensor([scene.objects[n].label for n in numbers])
            hits, total = hits + (guess == labels).sum().item(), total + len(labels)
    assert total > 80
    assert hits / total <= 0.15
