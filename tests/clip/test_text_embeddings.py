"""Embeddings of class names: where they come from, and when their table is made."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import nn

from clipself_mm.clip import TextEmbeddings, TextTower, build_tower, text_embeddings
from clipself_mm.clip.class_embeddings import save_class_embeddings
from clipself_mm.clip.embedding_metadata import EmbeddingMetadata
from clipself_mm.clip.export.tower_export import export_tower, exportable_state, write_authors
from clipself_mm.distillers.region_classifier import RegionClassifier
from tests.detection.tiny_fvit import build_fvit
from tests.factories import write_micro_clip

NAMES = ['cup', 'pen']


@pytest.fixture
def words(tmp_path):
    path = tmp_path / 'words.pt'
    save_class_embeddings(path, [*NAMES, 'key'], torch.randn(3, 16))
    return str(path)


def test_embeddings_of_the_text_tower(micro_clip):
    encoder = TextEmbeddings(text=dict(model=micro_clip))
    expected = TextTower(micro_clip).embed_classes(NAMES)
    assert torch.equal(encoder.encode(NAMES), expected)
    assert torch.equal(encoder.encode(NAMES[::-1], new=True), expected.flip(0))


def test_class_missing_in_the_file_raises_unless_it_is_new(words, micro_clip):
    encoder = TextEmbeddings((), words, dict(model=micro_clip))
    stored = F.normalize(torch.stack([torch.load(words)[name] for name in NAMES]), dim=-1)
    torch.testing.assert_close(encoder.encode(NAMES), stored)
    with pytest.raises(ValueError, match=r'words\.pt.*\bjar\b'):
        encoder.encode([*NAMES, 'jar'])
    mixed = encoder.encode(['pen', 'jar'], new=True)
    torch.testing.assert_close(mixed[0], stored[1])
    torch.testing.assert_close(mixed[1:], TextTower(micro_clip).embed_classes(['jar']))


@pytest.fixture
def asked(monkeypatch):
    """The names that text towers were asked for."""
    names = []

    class Counting(TextTower):
        def embed_classes(self, classes, **kwargs):
            names.extend(classes)
            return super().embed_classes(classes, **kwargs)

    monkeypatch.setattr(text_embeddings, 'TextTower', Counting)
    return names


def test_a_name_is_encoded_once(micro_clip, asked):
    encoder = TextEmbeddings(text=dict(model=micro_clip))
    encoder.encode(NAMES)
    encoder.encode(['pen', 'jar', 'cup'], new=True)
    assert asked == ['cup', 'pen', 'jar']


def test_file_with_another_width_raises(tmp_path, micro_clip):
    path = tmp_path / 'wide.pt'
    save_class_embeddings(path, NAMES, torch.randn(2, 24))
    with pytest.raises(ValueError, match=r'\[16, 24\]') as caught:
        TextEmbeddings((), str(path), dict(model=micro_clip)).encode(['cup', 'jar'], new=True)
    assert 'wide.pt' in str(caught.value)


def test_neither_file_nor_text_tower_raises(words):
    with pytest.raises(ValueError, match=r"'cup', 'pen'.*`text`"):
        TextEmbeddings().encode(NAMES)
    with pytest.raises(ValueError, match=r"'jar'.*`text`"):
        TextEmbeddings((), words).encode(['cup', 'jar'], new=True)


def test_npy_table_is_in_the_order_of_the_classes(tmp_path, micro_clip):
    path = tmp_path / 'table.npy'
    table = np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32)
    np.save(path, table)
    encoder = TextEmbeddings((), str(path), dict(model=micro_clip))
    expected = F.normalize(torch.from_numpy(table), dim=-1)
    torch.testing.assert_close(encoder.encode(NAMES), expected)
    with pytest.raises(ValueError, match=r'table\.npy.*\(2, 16\).*\b3\b'):
        encoder.encode([*NAMES, 'key'])
    by_text = encoder.encode(['pen'], new=True)  # a table has no names
    torch.testing.assert_close(by_text, TextTower(micro_clip).embed_classes(['pen']))
    (tmp_path / 'broken.npy').write_bytes(b'\x93NUMPY')
    with pytest.raises(ValueError, match=r'broken\.npy.*numpy\.save'):
        TextEmbeddings((), str(tmp_path / 'broken.npy')).encode(NAMES)


def test_synonyms_change_embeddings_of_the_text_tower_only(words, micro_clip):
    synonyms = {'cup': ('mug', 'beaker'), 'jar': ('pot',)}
    tower = TextTower(micro_clip)
    encoder = TextEmbeddings(text=dict(model=micro_clip), synonyms=synonyms)
    expected = tower.embed_classes(NAMES, synonyms=synonyms)
    assert torch.equal(encoder.encode(NAMES), expected)
    assert (expected[0] - tower.embed_classes(['cup'])[0]).norm() > 1e-3
    plain = TextEmbeddings((), words).encode(NAMES)
    with_file = TextEmbeddings((), words, dict(model=micro_clip), synonyms)
    assert torch.equal(with_file.encode(NAMES), plain)
    found = with_file.encode(['cup', 'jar'], new=True)
    assert torch.equal(found[0], plain[0])
    assert torch.equal(found[1:], tower.embed_classes(['jar'], synonyms=synonyms))


def test_new_names_use_the_prompts_of_the_file(micro_clip, tmp_path):
    tower, prompts = TextTower(micro_clip), ('itap of my {}.', '{} indoors')
    path = tmp_path / 'words.safetensors'
    made = tower.embed_classes(NAMES, prompts)
    save_class_embeddings(path, NAMES, made, EmbeddingMetadata(templates=prompts))
    found = TextEmbeddings((), str(path), dict(model=micro_clip)).encode(['cup', 'jar'], new=True)
    torch.testing.assert_close(found, tower.embed_classes(['cup', 'jar'], prompts))
    assert (found[1] - tower.embed_classes(['jar'])[0]).norm() > 1e-3


def test_missing_name_raises_with_a_similar_one(words):
    with pytest.raises(ValueError, match=r"'key'.*'Key'"):
        TextEmbeddings((), words).encode(['cup', 'Key'], new=True)


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
def test_embeddings_of_another_clip_warn_once(tmp_path, caplog, theirs, ours, warnings):
    path = tmp_path / 'words.safetensors'
    save_class_embeddings(path, NAMES, torch.randn(2, 16), EmbeddingMetadata(model=theirs))
    for _ in range(2):
        encoder = TextEmbeddings((), str(path), None if ours is None else dict(model=ours))
        encoder.encode(NAMES)
        encoder.encode(NAMES[::-1])
        encoder.encode(NAMES, new=True)
    said = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    assert len(said) == warnings
    assert all(str(path) in text and f'{theirs}' in text for text in said)


def test_region_classifier_uses_the_synonyms_of_its_vocabulary(micro_clip, tmp_path):
    (tmp_path / 'words.txt').write_text('cup; mug\npen\n')
    classifier = RegionClassifier(str(tmp_path / 'words.txt'), text=dict(model=micro_clip))
    expected = TextTower(micro_clip).embed_classes(NAMES, synonyms={'cup': ['mug']})
    assert torch.equal(classifier.text.table, expected)
    assert (expected[0] - TextTower(micro_clip).embed_classes(['cup'])[0]).norm() > 1e-3


def test_detector_uses_the_synonyms_of_its_vocabulary(micro_clip, tmp_path):
    (tmp_path / 'words.txt').write_text('cup; mug\npen\n')
    place = 'model.roi_head.bbox_head.vocabulary'
    model = build_fvit(micro_clip, **{place: str(tmp_path / 'words.txt')})
    found = model.roi_head.bbox_head.fc_cls.table()
    expected = TextTower(micro_clip).embed_classes(
        [*NAMES, 'background'], synonyms={'cup': ['mug']}
    )
    torch.testing.assert_close(found, expected)
    assert (expected[0] - TextTower(micro_clip).embed_classes(['cup'])[0]).norm() > 1e-3


def test_synonyms_of_the_classifier_take_precedence(micro_clip, tmp_path):
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
    assert model.roi_head.bbox_head.fc_cls.text.synonyms == own


@pytest.mark.parametrize('mode', [True, False])
def test_table_is_computed_when_the_mode_is_set(micro_clip, asked, mode):
    text = TextEmbeddings(NAMES, text=dict(model=micro_clip))
    assert asked == []
    model = nn.Sequential(text).train(mode)
    assert asked == NAMES
    model.train(not mode)
    assert asked == NAMES
    assert torch.equal(text.table, TextTower(micro_clip).embed_classes(NAMES))


def test_table_is_computed_on_first_use_without_a_mode(micro_clip, asked):
    text = TextEmbeddings(NAMES, text=dict(model=micro_clip))
    expected = TextTower(micro_clip).embed_classes(NAMES)
    with torch.inference_mode(), torch.autocast('cpu', dtype=torch.bfloat16):
        torch.testing.assert_close(text.table, expected)
    assert not text.table.is_inference()
    assert asked == NAMES


def test_set_classes_computes_the_table(words, asked):
    text = TextEmbeddings(NAMES, words)
    text.set_classes(['cup', 'jar'])  # still being built: another text tower may come
    text.set_classes(NAMES)
    before = text.eval().table
    with pytest.raises(ValueError, match=r"\['jar'\]"):
        text.set_classes(['cup', 'jar'])
    assert text.classes == tuple(NAMES)
    assert text.table is before
    text.set_classes(['key', 'pen'])
    assert torch.equal(text.table[1], before[1])


def test_table_is_not_in_the_state_dict(micro_clip):
    text = TextEmbeddings(NAMES, text=dict(model=micro_clip)).eval()
    assert text.state_dict() == {}
    twin = copy.deepcopy(text)
    twin.set_classes(['pen'])
    assert torch.equal(twin.table, text.table[1:])
    assert len(text.table) == 2


def test_nothing_is_computed_on_the_meta_device(micro_clip, asked):
    with torch.device('meta'):
        text = TextEmbeddings(NAMES, text=dict(model=micro_clip)).eval()
    text.set_classes([*NAMES, 'jar'])
    assert asked == []
    text.to_empty(device='cpu').eval()
    assert asked == [*NAMES, 'jar']


def test_missing_file_raises_when_the_mode_is_set(tmp_path):
    text = TextEmbeddings(NAMES, str(tmp_path / 'none.pt'))
    with pytest.raises(FileNotFoundError, match=r'none\.pt'):
        text.train()


def evaluation(tower, **classifier):
    return MODELS.build(
        dict(
            type='RegionRecognizer',
            tower=dict(type='CLIPTower', **tower),
            classifier=dict(vocabulary='shapes_ov', **classifier),
            data_preprocessor=dict(type='RegionPreprocessor', image_size=64),
        )
    )


def test_clip_of_the_tower_encodes_by_default(micro_clip, tmp_path):
    other = write_micro_clip(tmp_path / 'other', seed=7)
    table = evaluation(dict(model=micro_clip)).eval().classifier.text.table
    named = evaluation(dict(model=other), text=dict(model=micro_clip)).eval().classifier.text.table
    assert torch.equal(named, table)
    assert not torch.equal(evaluation(dict(model=other)).eval().classifier.text.table, table)


@pytest.mark.parametrize('write', ['open_clip', 'authors'])
def test_distilled_tower_has_the_same_text_tower(micro_clip, tmp_path, write):
    """Exported folders and the authors' files are whole CLIPs."""
    tower = build_tower(micro_clip)
    expected = evaluation(dict(model=micro_clip)).eval().classifier.text.table
    refined = {key: value + 0.1 for key, value in tower.state_dict().items()}
    if write == 'open_clip':
        file = export_tower(refined, tower.source, tmp_path / 'tower')
    else:
        state = exportable_state(refined, tower.source)
        file = write_authors(state, tower.source, tmp_path / 'epoch_6.pt')
    model = evaluation(dict(model=micro_clip, checkpoint=str(file))).eval()
    assert torch.equal(model.tower.state_dict()['visual.proj'], refined['visual.proj'])
    assert torch.equal(model.classifier.text.table, expected)


def test_file_without_text_tower_raises_with_the_config_key(micro_clip, tmp_path):
    file = tmp_path / 'visual.pt'
    torch.save(dict(build_tower(micro_clip).state_dict()), file)
    tower = dict(model=micro_clip, checkpoint=str(file))
    with pytest.raises(ValueError, match=r'visual\.pt.*model\.classifier\.text'):
        evaluation(tower).eval()
    evaluation(tower, text=dict(model=micro_clip)).eval()


def test_random_tower_without_text_raises(micro_clip):
    model = evaluation(dict(model='RN50')).eval()
    with pytest.raises(ValueError, match=r'`model\.classifier\.text`'):
        _ = model.classifier.text.table
