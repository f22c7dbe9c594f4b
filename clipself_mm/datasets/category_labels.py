"""From category ids of an annotation file to labels of a vocabulary, by name."""

from __future__ import annotations

from collections.abc import Sequence

from .vocabulary import Vocabulary, own_names


def category_labels(
    categories: Sequence[dict], vocabulary: Vocabulary, path: str, ignore_unknown: bool = False
) -> dict[int, int]:
    """Match the categories of an annotation file with a vocabulary by their names or aliases.

    Args:
        categories: Entries of `categories`, with `id`, `name` and in panoptic files `isthing`.
        vocabulary: The vocabulary.
        path: The annotation file, for the error.
        ignore_unknown: Leave out categories that are not in the vocabulary.

    Returns:
        Category id to label.

    Raises:
        ValueError: If a category is not in the vocabulary, or none is, or one is a thing in the
            file and stuff in the vocabulary; names the file.
    """
    label_of = {name: label for label, name in enumerate(vocabulary.classes)}
    count, things = len(label_of), set(vocabulary.things)
    label_of |= {other: label_of[name] for other, name in own_names(vocabulary.aliases).items()}
    unknown = [entry['name'] for entry in categories if entry['name'] not in label_of]
    if len(unknown) == len(categories) or (unknown and not ignore_unknown):
        raise ValueError(
            f'{path}: {len(unknown)} of {len(categories)} categories are not among the '
            f'{count} classes of vocabulary {vocabulary.name}: {unknown[:5]}'
        )
    known = [entry for entry in categories if entry['name'] in label_of]
    for entry in known:
        name = vocabulary.classes[label_of[entry['name']]]
        if 'isthing' in entry and bool(entry['isthing']) != (name in things):
            raise ValueError(
                f'{path}: category {entry["name"]!r} has isthing {entry["isthing"]}, vocabulary '
                f'{vocabulary.name} says otherwise'
            )
    return {entry['id']: label_of[entry['name']] for entry in known}
