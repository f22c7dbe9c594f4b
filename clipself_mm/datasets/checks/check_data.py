"""Finds missing and broken files of a config before a run starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mmengine.config import Config

from clipself_mm.clip.weights.tower_source import find_source

from ..annotations.captions import load_captions
from ..annotations.coco_json import check_instances, image_file_name, load_coco_json
from ..annotations.nouns import load_nouns
from ..annotations.vocabulary import Vocabulary, load_vocabulary
from .check_files import Finding, check_folder, check_source, check_weights, joined_path, strip_path
from .check_reading import LOADERS, dataset_nodes, dicts

_EVALUATORS = ('val_evaluator', 'test_evaluator')
_DATASET_KEYS = (
    *('type', 'data_root', 'ann_file', 'source', 'extensions', 'caption_file', 'data_prefix'),
    *('vocabulary', 'base_only'),
)
_NOUN_DATASETS = ('RegionTextPairs', 'CaptionedRegions')
_WEIGHT_SUFFIXES = ('.bin', '.npy', '.npz', '.pt', '.pth', '.safetensors')


def check_config(config: Config) -> Iterator[Finding]:
    """Check all files that a config reads.

    These are the annotation files, captions, images, shards and segment maps of all datasets (also
    wrapped ones), the annotation files of the evaluators, the vocabularies, and the towers,
    checkpoints and embeddings of the model. Nothing is built, unlike in `check_reading`. URLs are
    ignored.

    Args:
        config: A config of this package, of mmdet or of mmseg.

    Yields:
        One finding per file or folder.
    """
    seen = set()
    for finding in _walk(config):
        if finding not in seen:
            seen.add(finding)
            yield finding


def _walk(config: Config) -> Iterator[Finding]:
    datasets = []
    for loader in LOADERS:
        for node in dataset_nodes(config.get(loader)):
            datasets.append({key: node.get(key) for key in _DATASET_KEYS})
    for index, dataset in enumerate(datasets):
        if dataset not in datasets[:index]:  # val and test are often the same
            yield from check_dataset(dataset)
    for _, node in dicts([config.get(key) for key in _EVALUATORS]):
        if node.get('ann_file'):
            yield read_annotations(node['ann_file'])[0]
    parts = [config.get(key) for key in (*LOADERS, 'model')]
    for name, node in dicts(parts):
        nouns = name == 'nouns' or node.get('type') in _NOUN_DATASETS
        yield from _check_dict(node, load_nouns if nouns else load_vocabulary)
    if config.get('load_from'):
        yield from check_weights(config.load_from)


def _check_dict(node: Mapping, load_classes: Callable[[str], Vocabulary]) -> Iterator[Finding]:
    """Check the vocabulary, tower and weight files in one dict of a config."""
    vocabulary = node.get('vocabulary')
    if isinstance(vocabulary, str):
        try:
            classes = load_classes(vocabulary).classes
            yield Finding(vocabulary, note=f'vocabulary of {len(classes)} classes')
        except (FileNotFoundError, ValueError) as error:
            yield Finding(vocabulary, str(error))
    model = node.get('model')
    if isinstance(model, str) and model.startswith(('local-dir:', 'pkg:')):
        try:
            source = find_source(model, node.get('checkpoint'))
        except (FileNotFoundError, ModuleNotFoundError, ValueError) as error:
            yield Finding(model, str(error))
        else:
            if source.checkpoint is not None:
                yield from check_weights(source.checkpoint)
    for value in node.values():
        if isinstance(value, str) and value.endswith(_WEIGHT_SUFFIXES):
            yield from check_weights(value)


def check_dataset(dataset: Mapping) -> Iterator[Finding]:
    """Check the files of one dataset.

    Args:
        dataset: Config with `data_root`, `ann_file` and `data_prefix` as in mmengine's
            `BaseDataset`, and perhaps `caption_file`; or with `source` (see `check_source`).

    Yields:
        One finding per annotation file, captions file and folder.
    """
    if dataset.get('source'):
        yield from check_source(dataset)
        return
    root = dataset.get('data_root')
    folders = {
        key: joined_path(root, prefix)
        for key, prefix in (dataset.get('data_prefix') or {}).items()
        if isinstance(prefix, str)
    }
    content: dict = {}
    if dataset.get('ann_file'):
        path = joined_path(root, dataset['ann_file'])
        finding, content = read_annotations(path)
        yield finding
        if _are_instances(content) and dataset.get('vocabulary'):
            try:
                check_instances(content, path)
            except ValueError as error:
                yield Finding(path, strip_path(error, path))
        if content and dataset.get('type') == 'CaptionedImages':
            yield check_captions(path)
    if dataset.get('caption_file'):
        yield check_captions(joined_path(root, dataset['caption_file']))
    for key, folder in folders.items():
        yield check_folder(folder, _listed_files(content, key))


def _are_instances(content: dict) -> bool:
    """Whether a file has boxes of categories."""
    first: dict = next(iter(content.get('annotations', [])), {})
    return 'bbox' in first and 'categories' in content


def read_annotations(path: str) -> tuple[Finding, dict]:
    """Read and check an annotation file (COCO-style or with mmengine's `data_list`).

    Args:
        path: The file. Only a local .json is read; other files must exist.

    Returns:
        The finding, and the content of a valid COCO-style file, else {}.
    """
    if '://' in path:
        return Finding(path, note='not checked, not a local file'), {}
    if not Path(path).is_file():
        return Finding(path, 'is missing'), {}
    if not path.endswith('.json'):
        return Finding(path, note='file'), {}
    try:
        content = load_coco_json(path, required=())
        for image in content.get('images', []):
            image_file_name(image, path)
    except ValueError as error:
        return Finding(path, strip_path(error, path)), {}
    if 'data_list' in content:
        return Finding(path, note=f'{len(content["data_list"])} samples'), {}
    if not content.get('images'):
        return Finding(path, f'lists no image; it has {sorted(content)}'), {}
    return Finding(path, note=f'{len(content["images"])} images'), content


def check_captions(path: str) -> Finding:
    """Check that a captions json exists, is valid and has a caption."""
    finding, content = read_annotations(path)
    if not content:
        return finding
    try:
        captions = load_captions(path)
    except ValueError as error:
        return Finding(path, strip_path(error, path))
    count = sum(len(sentences) for sentences in captions.values())
    if not count:
        return Finding(path, 'has no caption')
    return Finding(path, note=f'{count} captions of {len(captions)} images')


def _listed_files(content: dict, key: str) -> list[str] | None:
    """Paths relative to `data_prefix[key]` in a COCO-style file; None if unknown."""
    if content and key == 'img':
        return [image_file_name(image, '') for image in content['images']]
    if content and key == 'seg':
        return [
            entry['file_name'] for entry in content.get('annotations', []) if 'file_name' in entry
        ]
    return None
