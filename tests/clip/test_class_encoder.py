"""Embeddings of class names: of the file where there is one, of the text tower for the rest."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clipself_mm.clip import ClassEncoder, TextTower, class_encoder
from clipself_mm.clip.class_embeddings import save_class_embeddings

NAMES = ['cup', 'pen']


@pytest.fixture
def words(tmp_path):
    path = tmp_path / 'words.pt'
    save_class_embeddings(path, [*NAMES, 'key'], torch.randn(3, 16))
    return str(path)


def test_text_tower_alone(micro_clip):
    encoder = ClassEncoder(text=dict(model=micro_clip))
    expected = TextTower(micro_clip).embed_classes(NAMES)
    assert torch.equal(encoder.encode(NAMES), expected)
    assert torch.equal(encoder.encode_new(NAMES[::-1]), expected.flip(0))


def test_file_is_strict_for_a_vocabulary_and_open_for_new_names(words, micro_clip):
    encoder = ClassEncoder(words, dict(model=micro_clip))
    stored = F.normalize(torch.stack([torch.load(words)[name] for name in NAMES]), dim=-1)
    torch.testing.assert_close(encoder.encode(NAMES), stored)
    with pytest.raises(ValueError, match='lacking jar'):
        encoder.encode([*NAMES, 'jar'])
    mixed = encoder.encode_new(['pen', 'jar'])
    torch.testing.assert_close(mixed[0], stored[1])
    torch.testing.assert_close(mixed[1:], TextTower(micro_clip).embed_classes(['jar']))


def test_a_name_is_encoded_once(micro_clip, monkeypatch):
    asked = []

    class Counting(TextTower):
        def embed_classes(self, classes, **kwargs):
            asked.extend(classes)
            return super().embed_classes(classes, **kwargs)

    monkeypatch.setattr(class_encoder, 'TextTower', Counting)
    encoder = ClassEncoder(text=dict(model=micro_clip))
    encoder.encode(NAMES)
    encoder.encode_new(['pen', 'jar', 'cup'])
    assert asked == ['cup', 'pen', 'jar']


def test_file_of_another_clip(tmp_path, micro_clip):
    path = tmp_path / 'wide.pt'
    save_class_embeddings(path, NAMES, torch.randn(2, 24))
    with pytest.raises(ValueError, match=r'different widths, \[16, 24\]') as caught:
        ClassEncoder(str(path), dict(model=micro_clip)).encode_new(['cup', 'jar'])
    assert 'wide.pt' in str(caught.value)


def test_neither(words):
    with pytest.raises(ValueError, match='give `text`'):
        ClassEncoder().encode(NAMES)
    with pytest.raises(ValueError, match=r"\['jar'\].*give `text`"):
        ClassEncoder(words).encode_new(['cup', 'jar'])


def test_table_without_names(tmp_path, micro_clip):
    path = tmp_path / 'table.npy'
    table = np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32)
    np.save(path, table)
    encoder = ClassEncoder(str(path), dict(model=micro_clip))
    expected = F.normalize(torch.from_numpy(table), dim=-1)
    torch.testing.assert_close(encoder.encode(NAMES), expected)
    with pytest.raises(ValueError, match=r'shape \(2, 16\) for 3 classes'):
        encoder.encode([*NAMES, 'key'])
    by_text = encoder.encode_new(['pen'])  # its row is not known by name
    torch.testing.assert_close(by_text, TextTower(micro_clip).embed_classes(['pen']))
    (tmp_path / 'broken.npy').write_bytes(b'\x93NUMPY')
    with pytest.raises(ValueError, match=r'broken\.npy: not a table'):
        ClassEncoder(str(tmp_path / 'broken.npy')).encode(NAMES)
