"""FoundationModel: token grid, weights, freezing."""

import os

import pytest
import timm
import torch

from clipself_mm.distillers import FoundationModel

DINO = dict(
    model='vit_base_patch14_reg4_dinov2.lvd142m',
    options=dict(img_size=56, embed_dim=16, depth=1, num_heads=2, init_values=0.1),
)


def pixels_of(height, width):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('size', [(24, 40), (96, 160), (42, 70)])
def test_any_input_size_gives_the_requested_grid(size):
    assert FoundationModel(**DINO)(pixels_of(*size), (3, 5)).shape == (2, 16, 3, 5)


def test_patches_are_timms_without_class_and_register_tokens():
    """At whole patches nothing is resized; mean and std are ImageNet's, as DINOv2's tag says."""
    model, pixels = FoundationModel(**DINO), pixels_of(28, 42)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        tokens = model.network.forward_features((pixels - mean) / std)
    assert tokens.shape == (2, 1 + 4 + 6, 16)
    found = model(pixels, (2, 3))
    for cell, token in enumerate(tokens[:, 5:].unbind(1)):
        torch.testing.assert_close(found[:, :, cell // 3, cell % 3], token)


def test_a_given_mean_replaces_the_default():
    model = FoundationModel(**DINO, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    pixels = pixels_of(14, 14)
    with torch.no_grad():
        tokens = model.network.forward_features((pixels - 0.5) * 4)
    torch.testing.assert_close(model(pixels, (1, 1))[:, :, 0, 0], tokens[:, 5])


def test_random_weights_come_from_the_seed_and_leave_the_generator_alone():
    torch.manual_seed(3)
    first = FoundationModel(**DINO, seed=1)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.rand(1).equal(drawn)
    pixels = pixels_of(28, 28)
    features = first(pixels, (2, 2))
    assert FoundationModel(**DINO, seed=1)(pixels, (2, 2)).equal(features)
    assert not FoundationModel(**DINO, seed=2)(pixels, (2, 2)).equal(features)


def dino_file(path, authors):
    torch.manual_seed(5)
    source = timm.create_model(DINO['model'], num_classes=0, **DINO['options'])
    state = source.state_dict()
    if authors:  # their names: register_tokens, a mask token, positions with a class entry
        state['register_tokens'] = state.pop('reg_token')
        state['mask_token'] = torch.zeros(1, 16)
        state['pos_embed'] = torch.cat([torch.zeros(1, 1, 16), state['pos_embed']], dim=1)
    torch.save(state, path)
    return source


@pytest.mark.parametrize('authors', [False, True])
def test_a_file_is_read_when_training_starts_or_on_first_use(tmp_path, authors):
    path = tmp_path / 'dino.pth'
    model = FoundationModel(**DINO, checkpoint=str(path))  # not there yet
    with pytest.raises(FileNotFoundError, match=r'dino\.pth.*vit_base'):
        model.init_weights()
    source = dino_file(path, authors)
    model(pixels_of(28, 28), (2, 2))
    state = source.state_dict()
    assert all(value.equal(state[key]) for key, value in model.network.state_dict().items())


def test_a_file_of_another_model_raises(tmp_path):
    torch.save({'blocks.0.attn.qkv.weight': torch.zeros(3, 3)}, tmp_path / 'other.pth')
    model = FoundationModel(**DINO, checkpoint=str(tmp_path / 'other.pth'))
    with pytest.raises(ValueError, match=r'other\.pth.*vit_base_patch14_reg4_dinov2'):
        model.init_weights()


@pytest.mark.parametrize('name', ['state_dict', 'model'])
def test_a_training_checkpoint_is_unwrapped(tmp_path, name):
    source = dino_file(tmp_path / 'flat.pth', authors=True)
    state = {f'module.{key}': value for key, value in torch.load(tmp_path / 'flat.pth').items()}
    torch.save({name: state, 'epoch': 3}, tmp_path / 'dino.pth')
    model = FoundationModel(**DINO, checkpoint=str(tmp_path / 'dino.pth'))
    model.init_weights()
    state = source.state_dict()
    assert all(value.equal(state[key]) for key, value in model.network.state_dict().items())
    assert 'state_dict' not in model.network.pretrained_cfg


class Bomb:
    """Creates a folder when unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_file_is_not_executed(tmp_path, monkeypatch):
    """Supported versions of timm use torch.load with weights_only=False."""
    monkeypatch.setattr(
        timm.models._builder,
        'load_state_dict',
        lambda path: torch.load(path, weights_only=False),
    )
    torch.save({'cls_token': torch.zeros(1), 'more': Bomb(tmp_path / 'ran')}, tmp_path / 'bad.pth')
    model = FoundationModel(**DINO, checkpoint=str(tmp_path / 'bad.pth'))
    with pytest.raises(ValueError, match=r'bad\.pth.*mkdir'):
        model.init_weights()
    assert not (tmp_path / 'ran').exists()


def test_an_empty_file_does_not_send_timm_to_the_hub(tmp_path):
    torch.save({}, tmp_path / 'empty.pth')
    model = FoundationModel(**DINO, checkpoint=str(tmp_path / 'empty.pth'))
    with pytest.raises(ValueError, match=r'empty\.pth'):
        model.init_weights()


def test_the_network_is_frozen_and_not_in_checkpoints():
    model = torch.nn.Sequential(FoundationModel(**DINO)).train()
    assert not any(module.training for module in model[0].network.modules())
    assert not any(p.requires_grad for p in model[0].network.parameters())
    assert list(model.parameters()) == []
    assert model.state_dict() == {}
    assert not model[0](pixels_of(28, 28).requires_grad_(), (2, 2)).requires_grad


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match=r'vit_tiny_patch16_224.*checkpoint.*pretrained'):
        FoundationModel('vit_tiny_patch16_224', checkpoint='a.pth', pretrained=True)
    with pytest.raises(NotImplementedError, match=r'resnet18.*timm'):
        FoundationModel('resnet18')
