"""The text tower against open_clip's own model, for its own and Hugging Face's tokenizers."""

import json
import sys

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from clipself_mm.clip import TextTower, TowerSource
from clipself_mm.clip.export.conversion import convert_tower
from clipself_mm.clip.prompts import expand_prompts
from clipself_mm.clip.text_tower import build_tokenizer
from tests.factories import MICRO_CONFIG

CLASSES = ['apple', 'red star', 'couch']
TEMPLATES = ('a photo of {article} {}.', 'itap of my {}.', '{}')
WORDS = ['this', 'is', 'a', 'an', 'photo', 'of', 'my', 'itap', 'apple', 'red', 'star', 'couch']
SPECIAL = ['[PAD]', '[EOS]', '[UNK]']
SIGLIP_TEXT = dict(
    context_length=16,
    vocab_size=len(SPECIAL + WORDS),
    hf_tokenizer_name='the-folder-wins',
    tokenizer_kwargs=dict(clean='canonicalize'),
    width=16,
    heads=2,
    layers=1,
    mlp_ratio=2.5,
    no_causal_mask=True,
    proj_bias=True,
    pool_type='last',
    norm_kwargs=dict(eps=1e-6),
    act_kwargs=dict(approximate='tanh'),
)
HF_TEXT = dict(
    context_length=16,
    hf_tokenizer_name='the-folder-wins',
    hf_proj_type='mlp',
    hf_pooler_type='mean_pooler',
)


def write_clip(folder, text_cfg, **model_cfg):
    """Write a random CLIP with another text tower; returns its model name."""
    folder.mkdir(parents=True, exist_ok=True)
    model_cfg = MICRO_CONFIG['model_cfg'] | model_cfg | dict(text_cfg=text_cfg)
    content = dict(model_cfg=model_cfg, preprocess_cfg=MICRO_CONFIG['preprocess_cfg'])
    (folder / 'open_clip_config.json').write_text(json.dumps(content))
    torch.manual_seed(3)
    model = open_clip.create_model(f'local-dir:{folder}', load_weights=False, pretrained_text=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_file(dict(model.state_dict()), folder / 'open_clip_model.safetensors')
    return f'local-dir:{folder}'


def write_tokenizer(folder):
    """A tokenizer of whole words, saved as Hugging Face saves one."""
    tokenizers = pytest.importorskip('tokenizers')
    transformers = pytest.importorskip('transformers')
    vocabulary = {word: index for index, word in enumerate(SPECIAL + WORDS)}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token='[UNK]'))
    words.normalizer = tokenizers.normalizers.Lowercase()
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single='$A [EOS]', special_tokens=[('[EOS]', 1)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token='[PAD]', eos_token='[EOS]', unk_token='[UNK]'
    ).save_pretrained(folder)


def by_open_clip(model_name, classes, synonyms=None):
    """Class embeddings by open_clip's whole model, one sentence at a time."""
    model = open_clip.create_model(model_name).eval()
    tokenizer = open_clip.get_tokenizer(model_name)
    rows = []
    with torch.no_grad():
        for name in classes:
            by_name = []
            for own in (name, *(synonyms or {}).get(name, ())):
                vectors = [
                    F.normalize(model.encode_text(tokenizer([text])), dim=-1)[0]
                    for text in expand_prompts(own, TEMPLATES)
                ]
                by_name.append(F.normalize(sum(vectors) / len(vectors), dim=0))
            rows.append(F.normalize(sum(by_name) / len(by_name), dim=0))
    return torch.stack(rows)


def check(model_name):
    found = TextTower(model_name).embed_classes(CLASSES, TEMPLATES, batch_size=4)
    expected = by_open_clip(model_name, CLASSES)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert (found[0] - found[1]).norm() > 1e-3  # the tokenizer tells the names apart
    return found


def test_text_tower_of_clip(micro_clip):
    check(micro_clip)


def test_synonyms_are_averaged_after_the_prompts(micro_clip):
    synonyms = {'couch': ['sofa', 'settee'], 'bus': ['coach']}  # nobody asks for a bus
    tower = TextTower(micro_clip)
    found = tower.embed_classes(CLASSES, TEMPLATES, batch_size=4, synonyms=synonyms)
    expected = by_open_clip(micro_clip, CLASSES, synonyms)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    alone = tower.embed_classes(CLASSES, TEMPLATES, batch_size=4)
    torch.testing.assert_close(found[:2], alone[:2], rtol=1e-4, atol=1e-6)
    assert (found[2] - alone[2]).norm() > 1e-3


def test_text_tower_of_siglip_with_the_tokenizer_of_the_folder(tmp_path):
    write_tokenizer(tmp_path)
    name = write_clip(tmp_path, SIGLIP_TEXT, custom_text=True, init_logit_bias=-10)
    tower = TextTower(name)
    tokens = tower.tokenizer(['A photo!'])  # canonicalised: lower case, no punctuation
    ids = [(SPECIAL + WORDS).index(word) for word in ('a', 'photo', '[EOS]')]
    assert tokens.tolist() == [ids + [0] * 13]
    check(name)


@pytest.mark.parametrize('kind', ['xlm-roberta', 'bert'])
def test_text_tower_of_hugging_face(tmp_path, kind):
    write_tokenizer(tmp_path)
    transformers = pytest.importorskip('transformers')
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=1,
    )
    config.save_pretrained(tmp_path / 'architecture')
    name = write_clip(tmp_path, HF_TEXT | dict(hf_model_name=str(tmp_path / 'architecture')))
    check(name)
    convert_tower(name, tmp_path / 'out', 'open_clip')  # asks for no weights of the text model
    check(f'local-dir:{tmp_path / "out"}')


def test_folder_in_transformers_layout_has_the_tokenizer_of_openai(tmp_path):
    text_cfg = dict(context_length=9, vocab_size=49408)
    source = TowerSource(f'local-dir:{tmp_path}', dict(text_cfg=text_cfg))
    tokens = build_tokenizer(source)(['a photo of a cat'])
    assert tokens.tolist() == [[49406, 320, 1125, 539, 320, 2368, 49407, 0, 0]]
    text_cfg['vocab_size'] = 32000
    with pytest.raises(ValueError, match=r'49408.*32000'):
        build_tokenizer(source)


def test_exported_folder_has_the_tokenizer_of_its_source(tmp_path):
    write_tokenizer(tmp_path / 'source')
    name = write_clip(tmp_path / 'source', SIGLIP_TEXT, custom_text=True, init_logit_bias=-10)
    for _ in range(2):  # the second replaces the first, tokenizer and all
        convert_tower(name, tmp_path / 'out', 'open_clip')
    expected = TextTower(name).embed_classes(CLASSES, TEMPLATES)
    assert torch.equal(
        TextTower(f'local-dir:{tmp_path / "out"}').embed_classes(CLASSES, TEMPLATES), expected
    )


def test_missing_transformers_raises_with_the_extra(tmp_path, monkeypatch):
    name = write_clip(tmp_path, SIGLIP_TEXT, custom_text=True)
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ImportError, match=r'clipself_mm\[hf\]') as caught:
        TextTower(name)
    assert name in str(caught.value)


def test_named_siglip_needs_transformers(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    (tmp_path / 'weights.pt').touch()
    with pytest.raises(ImportError, match=r'ViT-B-16-SigLIP.*transformers'):
        TextTower('ViT-B-16-SigLIP', str(tmp_path / 'weights.pt'))


def test_text_tower_with_output_tokens(tmp_path):
    """CoCa's configurations ask the tower for tokens as well; classes need only the embedding."""
    text_cfg = MICRO_CONFIG['model_cfg']['text_cfg']
    name = write_clip(tmp_path, text_cfg, custom_text=True)
    expected = TextTower(name).embed_classes(CLASSES, TEMPLATES)
    path = tmp_path / 'open_clip_config.json'
    content = json.loads(path.read_text())
    content['model_cfg']['text_cfg']['output_tokens'] = True
    path.write_text(json.dumps(content))
    assert torch.equal(TextTower(name).embed_classes(CLASSES, TEMPLATES), expected)


def test_text_tower_without_checkpoint_raises():
    with pytest.raises(ValueError, match=r'ViT-B-32.*checkpoint'):
        TextTower('ViT-B-32')


def test_no_classes_and_invalid_templates_raise(micro_clip):
    tower = TextTower(micro_clip)
    with pytest.raises(ValueError, match=r'classes=\[\]'):
        tower.embed_classes([])
    with pytest.raises(ValueError, match="'a photo'"):
        tower.embed_classes(['cat'], ['a photo'])
