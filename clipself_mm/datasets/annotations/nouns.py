"""Nouns of region-text pairs, and finding them in captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    """Spell the plurals that a noun may have.

    Where English has two ways (scarfs and scarves, photos and tomatoes, ottomans and snowmen) both
    are given: the wrong one is no word, so it is not met in captions.

    Args:
        word: A noun in the singular, lower case.

    Returns:
        Its plurals, at least one.
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
    """Split a text into clauses of words in lower case.

    Punctuation ends a clause, so that no name reaches across a comma; hyphens and underscores part
    words; a possessive 's goes.

    Args:
        text: Any text.

    Returns:
        The words of each clause.
    """
    clauses = _CLAUSE_BREAK.split(_POSSESSIVE.sub('', text.lower()))
    return [tuple(_WORD.findall(clause)) for clause in clauses]


def spell_name(name: str) -> list[Phrase]:
    """The words that name a class in a sentence.

    Args:
        name: Name of a class as vocabularies have it: `bow_(weapon)`, `cup/mug`.

    Returns:
        Words of each alternative before and behind a slash, without what stands in brackets; none
        if there is no word.
    """
    bare = re.sub(r'\([^)]*\)', ' ', name)
    spelt = (sum(split_words(part), ()) for part in bare.split('/'))
    return [words for words in spelt if words]


class CaptionNouns:
    """Finds which classes of a vocabulary captions name.

    The longest name goes first, then the one further left: "hot dog stand" names a hot dog and no
    dog. A name stands for all classes that are spelt so (LVIS has `bow_(weapon)` and
    `bow_(decorative_ribbons)`); a synonym stands for its class. Each name counts in the plural of
    its last word too, unless that is a name itself.

    Args:
        vocabulary: Classes and their synonyms.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        spelt = [
            (words, label)
            for label, name in enumerate(vocabulary.classes)
            for own in (name, *vocabulary.synonyms.get(name, ()))
            for words in spell_name(own)
        ]
        names = _labels_by_phrase(spelt)
        plurals = _labels_by_phrase(
            ((*words[:-1], form), label)
            for words, label in spelt
            for form in sorted(plural_forms(words[-1]))
        )
        self._labels = plurals | names
        self._longest = max((len(words) for words in self._labels), default=0)

    def __call__(self, captions: Sequence[str]) -> list[int]:
        """Find the nouns of an image.

        Args:
            captions: Its captions.

        Returns:
            Labels of the classes they name, ascending, each once.
        """
        found: set[int] = set()
        for caption in captions:
            for words in split_words(caption):
                found.update(self._of_clause(words))
        return sorted(found)

    def _of_clause(self, words: Phrase) -> Iterable[int]:
        """Labels named in one clause; a word serves one name."""
        taken = [False] * len(words)
        for length in range(min(self._longest, len(words)), 0, -1):
            for start in range(len(words) - length + 1):
                place = slice(start, start + length)
                labels = self._labels.get(words[place])
                if labels and not any(taken[place]):
                    taken[place] = [True] * length
                    yield from labels


def _labels_by_phrase(spelt: Iterable[tuple[Phrase, int]]) -> dict[Phrase, set[int]]:
    labels: dict[Phrase, set[int]] = {}
    for words, label in spelt:
        labels.setdefault(words, set()).add(label)
    return labels
