"""Class embeddings: what is computed, written and read back, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from clipself_mm.clip import TextTower
from clipself_mm.clip.class_embeddings import load_class_embeddings, save_class_embeddings
from clipself_mm.clip.prompts import expand_prompts

ROOT = Path(__file__).parents[2]


def test_embeddings_are_the_mean_over_prompts_by_a_plain_loop(micro_clip):
    tower = TextTower(micro_clip)
    templates = ('a photo of {article} {}.', 'itap of my {}.', '{}')
    found = tower.embed_classes(['apple', 'red star'], templates, batch_size=4)
    for row, name in zip(found, ['apple', 'red star'], strict=True):
        vectors = [
            F.normalize(tower.encode_text(tower.tokenizer([text])), dim=-1)[0]
            for text in expand_prompts(name, templates)
        ]
        expected = F.normalize(torch.stack(vectors).mean(0), dim=0)
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-6)


def test_a_random_text_tower_is_refused():
    with pytest.raises(ValueError, match='needs a checkpoint'):
        TextTower('ViT-B-32')


def test_written_embeddings_come_back_in_the_order_asked_for(tmp_path):
    vectors = F.normalize(torch.arange(1.0, 7).view(3, 2), dim=-1)
    save_class_embeddings(tmp_path / 'e.pt', ['a', 'b', 'c'], vectors)
    torch.testing.assert_close(
        load_class_embeddings(tmp_path / 'e.pt', ['c', 'a']), vectors[[2, 0]]
    )


@pytest.mark.parametrize('damage', ['missing', 'truncated', 'lacks a class', 'no dictionary'])
def test_bad_embedding_files_are_named(tmp_path, damage):
    path = tmp_path / 'e.pt'
    save_class_embeddings(path, ['a', 'b'], torch.eye(2))
    message = {
        'missing': 'no such file',
        'truncated': 'not a file of class embeddings',
        'lacks a class': 'lacking c',
        'no dictionary': 'expected a dictionary',
    }[damage]
    if damage == 'missing':
        path.unlink()
    elif damage == 'truncated':
        path.write_bytes(path.read_bytes()[:100])
    elif damage == 'no dictionary':
        torch.save(torch.eye(2), path)
    error = FileNotFoundError if damage == 'missing' else ValueError
    with pytest.raises(error, match=message) as raised:
        load_class_embeddings(path, ['a', 'c'])
    assert str(path) in str(raised.value)


def test_tool_writes_a_vocabulary_with_background(micro_clip, tmp_path):
    (tmp_path / 'pets.txt').write_text('cat\ndog\n')
    out = tmp_path / 'made' / 'pets.pt'
    tool = ROOT / 'tools/make_text_embeddings.py'
    command = [sys.executable, tool, tmp_path / 'pets.txt', '--model', micro_clip, '--out', out]
    subprocess.run([str(part) for part in command], check=True, cwd=tmp_path)
    written = torch.load(out, weights_only=True)
    assert list(written) == ['cat', 'dog', 'background']
    expected = TextTower(micro_clip).embed_classes(['cat'])[0]
    torch.testing.assert_close(written['cat'], expected, rtol=1e-4, atol=1e-6)
