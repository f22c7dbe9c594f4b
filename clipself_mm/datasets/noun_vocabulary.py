"""The nouns of region-text pairs: a vocabulary, or the categories of an annotation file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .coco_json import read_json
from .vocabulary import Vocabulary, load_vocabulary


def vocabulary_of_categories(categories: Sequence[dict], path: str) -> Vocabulary:
    """Take the categories of an annotation file as a vocabulary.

    Args:
        categories: Entries with `id` and `name`, in any order.
        path: The file, for name and error.

    Returns:
        Label i is the category with the i-th smallest id, as the authors' release counts.

    Raises:
        ValueError: If a category has no name or id, or one is doubled; names the file.
    """
    lacking = [entry for entry in categories if not {'id', 'name'} <= entry.keys()]
    if lacking:
        raise ValueError(f"{path}: expected categories with 'id' and 'name', got {lacking[0]}")
    ordered = sorted(categories, key=lambda entry: entry['id'])
    try:
        return Vocabulary(
            Path(path).stem,
            classes=tuple(entry['name'] for entry in ordered),
            ids=tuple(entry['id'] for entry in ordered),
        )
    except ValueError as error:
        raise ValueError(f'{path}: its categories are no vocabulary: {error}') from error


def load_nouns(name_or_path: str) -> Vocabulary:
    """Read the nouns that regions are paired with.

    Args:
        name_or_path: A vocabulary as `load_vocabulary` reads it; or a COCO-style json whose
            `categories` are the nouns, as the authors' `coco_pseudo_4764.json`.

    Returns:
        The nouns in the order of their labels, of a COCO-style json by ascending category id.

    Raises:
        FileNotFoundError: If there is no such vocabulary or file.
        ValueError: If the file is broken; names the file.
    """
    path = Path(name_or_path)
    if path.suffix == '.json' and path.is_file():
        content = read_json(str(path))
        if isinstance(content, dict) and 'classes' not in content and 'categories' in content:
            return vocabulary_of_categories(content['categories'], str(path))
    return load_vocabulary(name_or_path)
