"""From the classes of a data set to the category ids of the file it is judged by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ...datasets.vocabulary import own_names


def category_ids(
    categories: Sequence[dict],
    classes: Sequence[str],
    path: str,
    aliases: Mapping[str, Sequence[str]] | None = None,
) -> list[int]:
    """Category id of each class, by name or alias.

    Args:
        categories: Entries of `categories` with `id` and `name`, in any order; more than the
            classes are welcome.
        classes: Class names, K of them.
        path: The annotation file, for the error.
        aliases: Other names of classes in annotation files.

    Returns:
        K ids: entry i belongs to class i.

    Raises:
        ValueError: If a class is missing or two categories have its name; names the file.
    """
    own, ids = own_names(aliases or {}), defaultdict(list)
    for entry in categories:
        ids[own.get(entry['name'], entry['name'])].append(entry['id'])
    missing = [name for name in classes if name not in ids]
    if missing:
        raise ValueError(
            f'{path}: its {len(categories)} categories lack {len(missing)} of the '
            f'{len(classes)} classes of the data set: {missing[:5]}'
        )
    doubled = [name for name in classes if len(ids[name]) > 1]
    if doubled:
        raise ValueError(f'{path}: several categories are named {doubled[:5]}')
    return [ids[name][0] for name in classes]
