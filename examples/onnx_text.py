"""Class embeddings without torch: from a file, or by the text tower of tools/export_onnx.py."""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")


def metadata_of(session: onnxruntime.InferenceSession) -> dict:
    """Metadata of an ONNX file of tools/export_onnx.py."""
    return {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}


def tokenize(texts: Sequence[str], merges: Sequence[str], context: int) -> np.ndarray:
    """Token ids of OpenAI's byte pair encoding, shape (T, context)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    symbols = [*map(chr, plain), *map(chr, range(256, 256 + len(other)))]
    symbol_of = dict(zip([*plain, *other], symbols, strict=True))
    units = [*symbols, *(unit + '</w>' for unit in symbols), *(''.join(m.split()) for m in merges)]
    id_of = {unit: number for number, unit in enumerate(units)}
    rank = {tuple(merge.split()): number for number, merge in enumerate(merges)}
    tokens = np.zeros((len(texts), context), np.int64)
    for row, text in zip(tokens, texts, strict=True):
        ids = [len(units)]
        for word in WORDS.findall(html.unescape(html.unescape(text)).lower()):
            parts = [symbol_of[byte] for byte in word.encode()]
            parts[-1] += '</w>'
            while len(parts) > 1:
                pair = min(itertools.pairwise(parts), key=lambda two: rank.get(two, len(rank)))
                if pair not in rank:
                    break
                for index in range(len(parts) - 1):
                    if tuple(parts[index : index + 2]) == pair:
                        parts[index : index + 2] = [''.join(pair)]
            ids += [id_of[part] for part in parts]
        ids = [*ids[: context - 1], len(units) + 1]
        row[: len(ids)] = ids
    return tokens


def embed(text_tower: str, names: Sequence[str]) -> np.ndarray:
    """Class embeddings, shape (K, D): the mean over the prompts, normalised."""
    session = onnxruntime.InferenceSession(text_tower)
    about, rows = metadata_of(session), []
    for name in names:
        article = 'an' if name[0] in 'aeiou' else 'a'
        word = name.replace('_', ' ').replace('/', ' or ').lower().rstrip('.')
        prompts = [prompt.format(word, article=article) for prompt in about['prompts']]
        prompts = ['This is ' + p if p.startswith(('a', 'the')) else p for p in prompts]
        tokens = tokenize(prompts, about['merges'], about['context'])
        rows.append(session.run(None, {'tokens': tokens})[0].mean(axis=0))
    return np.stack([row / np.linalg.norm(row) for row in rows])


def read_embeddings(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Names and embeddings (K, D) of a .safetensors file of the tools, without the background."""
    content = Path(path).read_bytes()
    end = 8 + int.from_bytes(content[:8], 'little')
    header = json.loads(content[8:end])
    table = np.frombuffer(content, np.float32, offset=end).reshape(header['embeddings']['shape'])
    names = json.loads(header['__metadata__']['classes'])
    kept = [row for row, name in enumerate(names) if name != 'background']
    return [names[row] for row in kept], table[kept]
