"""Nouns of region-text pairs, and their detection in captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from .coco_json import read_json
from .vocabulary import Vocabulary, is_name, load_vocabulary


def vocabulary_of_categories(categories: Sequence[dict], path: str) -> Vocabulary:
    """Make a vocabulary of the categories of an annotation file.

    Args:
        categories: Entries with `id` and `name`, in any order.
        path: The file, for name and error.

    Returns:
        Label i is the category with the i-th smallest id, as in the official implementation.

    Raises:
        ValueError: A category has no name or id, or is listed twice; or the ids differ in type.
    """
    if not isinstance(categories, list):
        raise ValueError(f'{path}: expected a list of categories, got {categories!r:.80}')
    for entry in categories:
        if not isinstance(entry, dict) or not is_name(entry.get('name')):
            raise ValueError(f"{path}: expected categories with 'id' and 'name', got {entry!r:.80}")
        if type(entry.get('id')) not in (int, str):
            raise ValueError(f'{path}: expected a number or text as id, got {entry!r:.80}')
    if len(kinds := {type(entry['id']).__name__ for entry in categories}) > 1:
        raise ValueError(f'{path}: its category ids are of several types, {sorted(kinds)}')
    ordered = sorted(categories, key=lambda entry: entry['id'])
    try:
        return Vocabulary(
            Path(path).stem,
            classes=tuple(entry['name'] for entry in ordered),
            ids=tuple(entry['id'] for entry in ordered),
        )
    except ValueError as error:
        raise ValueError(f'{path}: its categories are not a valid vocabulary: {error}') from error


def load_nouns(name_or_path: str) -> Vocabulary:
    """Read the nouns of region-text pairs.

    Args:
        name_or_path: A vocabulary for `load_vocabulary`; or a COCO-style json whose `categories`
            are the nouns, such as the released `coco_pseudo_4764.json`.

    Returns:
        The nouns in the order of their labels; those of a COCO-style json by ascending category id.

    Raises:
        FileNotFoundError: There is no such vocabulary or file.
        ValueError: The file is broken.
    """
    path = Path(name_or_path)
    if path.suffix == '.json' and path.is_file():
        content = read_json(str(path))
        if isinstance(content, dict) and 'classes' not in content and 'categories' in content:
            return vocabulary_of_categories(content['categories'], str(path))
    return load_vocabulary(name_or_path)


_IRREGULAR = {
    'child': 'children',
    'foot': 'feet',
    'goose': 'geese',
    'louse': 'lice',
    'mouse': 'mice',
    'ox': 'oxen',
    'person': 'people',
    'tooth': 'teeth',
}
_TO_VES = (
    *('calf', 'dwarf', 'elf', 'half', 'hoof', 'knife', 'leaf', 'life', 'loaf'),
    *('scarf', 'sheaf', 'thief', 'wharf', 'wife', 'wolf'),
)
_CLAUSE_BREAK = re.compile(r"[^\w\s'\u2019-]+")
_POSSESSIVE = re.compile(r"['\u2019]s\b")
_WORD = re.compile(r'[^\W_]+')

Phrase = tuple[str, ...]


def plural_forms(word: str) -> set[str]:
    """Return the possible plurals of a noun.

    Where English has two rules (scarfs and scarves, photos and tomatoes, ottomans and snowmen),
    both forms are returned; captions rarely contain a wrong one.

    Args:
        word: A noun in the singular, lower case.
    """
    forms = {word + 's'}
    if word.endswith(('s', 'x', 'z', 'ch', 'sh')):
        forms = {word + 'es'}
    elif word.endswith('y') and word[-2:-1] not in set('aeiou'):
        forms = {word[:-1] + 'ies'}
    elif word.endswith('o'):
        forms.add(word + 'es')
    elif word.endswith(_TO_VES):
        forms.add(word.removesuffix('e')[:-1] + 'ves')
    elif word.endswith('man'):
        forms.add(word[:-3] + 'men')
    if word in _IRREGULAR:
        forms.add(_IRREGULAR[word])
    return forms


def split_words(text: str) -> list[Phrase]:
    """Split a text into clauses of lower-case words.

    Punctuation ends a clause, so that no name contains a comma. Hyphens and underscores separate
    words. A possessive 's is removed.
    """
    clauses = _CLAUSE_BREAK.split(_POSSESSIVE.sub('', text.lower()))
    return [tuple(_WORD.findall(clause)) for clause in clauses]


def spell_name(name: str) -> list[Phrase]:
    """The words of a class name in a sentence.

    Args:
        name: Class name of a vocabulary, such as `bow_(weapon)` or `cup/mug`.

    Returns:
        Words of each alternative separated by a slash, without text in brackets.
    """
    bare = re.sub(r'\([^)]*\)', ' ', name)
    phrases = (sum(split_words(part), ()) for part in bare.split('/'))
    return [words for words in phrases if words]


class CaptionNouns:
    """Finds the classes of a vocabulary that occur in captions.

    Longer names match first, then names further left: "hot dog stand" has a hot dog and no dog. A
    name matches all classes that are written so (LVIS has `bow_(weapon)` and
    `bow_(decorative_ribbons)`); a synonym matches its class. A name also matches with its last word
    in the plural, unless that is another class name.

    Args:
        vocabulary: Classes and their synonyms.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        phrases = [
            (words, label)
            for label, class_name in enumerate(vocabulary.classes)
            for name in (class_name, *vocabulary.synonyms.get(class_name, ()))
            for words in spell_name(name)
        ]
        names = _labels_by_phrase(phrases)
        plurals = _labels_by_phrase(
            ((*words[:-1], form), label)
            for words, label in phrases
            for form in sorted(plural_forms(words[-1]))
        )
        self._labels = plurals | names
        self._longest = max((len(words) for words in self._labels), default=0)

    def __call__(self, captions: Sequence[str]) -> list[int]:
        """Find the nouns of an image.

        Args:
            captions: Captions of the image.

        Returns:
            Labels of the classes in the captions, ascending, each once.
        """
        found: set[int] = set()
        for caption in captions:
            for words in split_words(caption):
                found.update(self._of_clause(words))
        return sorted(found)

    def _of_clause(self, words: Phrase) -> Iterable[int]:
        """Labels of the names in one clause; each word belongs to at most one name."""
        used = [False] * len(words)
        for length in range(min(self._longest, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                span = slice(start, start + length)
                labels = self._labels.get(words[span])
                if labels and not any(used[span]):
                    used[span] = [True] * length
                    yield from labels


def _labels_by_phrase(phrases: Iterable[tuple[Phrase, int]]) -> dict[Phrase, set[int]]:
    labels: dict[Phrase, set[int]] = {}
    for words, label in phrases:
        labels.setdefault(words, set()).add(label)
    return labels
