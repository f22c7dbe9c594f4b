"""Embeddings of class names: of the file where there is one, of the text tower for the rest."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clipself_mm.clip import ClassEncoder, TextTower, class_encoder
from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.clip.embedding_origin import EmbeddingOrigin
from clipself_mm.distillers.region_classifier import RegionClassifier
from tests.detection.tiny_fvit import build_fvit

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
    with pytest.raises(ValueError, match=r'broken\.npy: not a whole file .* a table'):
        ClassEncoder(str(tmp_path / 'broken.npy')).encode(NAMES)


def test_synonyms_go_to_the_text_tower_and_not_to_the_file(words, micro_clip):
    synonyms = {'cup': ('mug', 'beaker'), 'jar': ('pot',)}
    tower = TextTower(micro_clip)
    encoder = ClassEncoder(text=dict(model=micro_clip), synonyms=synonyms)
    expected = tower.embed_classes(NAMES, synonyms=synonyms)
    assert torch.equal(encoder.encode(NAMES), expected)
    assert (expected[0] - tower.embed_classes(['cup'])[0]).norm() > 1e-3
    plain = ClassEncoder(words).encode(NAMES)
    with_file = ClassEncoder(words, dict(model=micro_clip), synonyms)
    assert torch.equal(with_file.encode(NAMES), plain)
    found = with_file.encode_new(['cup', 'jar'])
    assert torch.equal(found[0], plain[0])
    assert torch.equal(found[1:], tower.embed_classes(['jar'], synonyms=synonyms))


def test_new_names_are_said_by_the_prompts_of_the_file(micro_clip, tmp_path):
    tower, prompts = TextTower(micro_clip), ('itap of my {}.', '{} indoors')
    path = tmp_path / 'words.safetensors'
    made = tower.embed_classes(NAMES, prompts)
    save_class_embeddings(path, NAMES, made, EmbeddingOrigin(templates=prompts))
    found = ClassEncoder(str(path), dict(model=micro_clip)).encode_new(['cup', 'jar'])
    torch.testing.assert_close(found, tower.embed_classes(['cup', 'jar'], prompts))
    assert (found[1] - tower.embed_classes(['jar'])[0]).norm() > 1e-3


def test_near_misses_are_named_where_nothing_can_be_computed(words):
    with pytest.raises(ValueError, match="found 'key', the vocabulary has 'Key'"):
        ClassEncoder(words).encode_new(['cup', 'Key'])


@pytest.mark.parametrize(
    ('theirs', 'ours', 'warnings'),
    [
        ('EVA02-B-16', 'ViT-B-16', 1),
        ('ViT-B/16', 'ViT-B-16', 0),
        (None, 'ViT-B-16', 0),
        ('EVA02-B-16', None, 0),
        ('EVA02-B-16', 'local-dir:refined', 0),
    ],
)
def test_embeddings_of_another_clip_are_warned_of_once(tmp_path, caplog, theirs, ours, warnings):
    path = tmp_path / 'words.safetensors'
    save_class_embeddings(path, NAMES, torch.randn(2, 16), EmbeddingOrigin(model=theirs))
    for _ in range(2):
        encoder = ClassEncoder(str(path), None if ours is None else dict(model=ours))
        encoder.encode(NAMES)
        encoder.encode(NAMES[::-1])
        encoder.encode_new(NAMES)
    said = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    assert len(said) == warnings
    assert all(f'{path}: its embeddings are of the CLIP {theirs}' in text for text in said)


def test_the_classifier_of_regions_takes_the_synonyms_of_its_vocabulary(micro_clip, tmp_path):
    (tmp_path / 'words.txt').write_text('cup; mug\npen\n')
    classifier = RegionClassifier(str(tmp_path / 'words.txt'), text=dict(model=micro_clip))
    expected = TextTower(micro_clip).embed_classes(NAMES, synonyms={'cup': ['mug']})
    assert torch.equal(classifier.class_embeddings(torch.device('cpu')), expected)
    assert (expected[0] - TextTower(micro_clip).embed_classes(['cup'])[0]).norm() > 1e-3


def test_the_detector_takes_the_synonyms_of_its_vocabulary(micro_clip, tmp_path):
    (tmp_path / 'words.txt').write_text('cup; mug\npen\n')
    place = 'model.roi_head.bbox_head.vocabulary'
    model = build_fvit(micro_clip, **{place: str(tmp_path / 'words.txt')})
    found = model.roi_head.bbox_head.fc_cls.table(torch.device('cpu'))
    expected = TextTower(micro_clip).embed_classes(
        [*NAMES, 'background'], synonyms={'cup': ['mug']}
    )
    torch.testing.assert_close(found, expected)
    assert (expected[0] - TextTower(micro_clip).embed_classes(['cup'])[0]).norm() > 1e-3


def test_a_classifier_keeps_synonyms_of_its_own(micro_clip, tmp_path):
    (tmp_path / 'words.txt').write_text('cup; mug\npen\n')
    head = 'model.roi_head.bbox_head'
    own = {'pen': ['biro']}
    model = build_fvit(
        micro_clip,
        **{
            f'{head}.vocabulary': str(tmp_path / 'words.txt'),
            f'{head}.cls_predictor_cfg.synonyms': own,
        },
    )
    assert model.roi_head.bbox_head.fc_cls.encoder.synonyms == own
