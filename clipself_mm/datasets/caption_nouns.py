"""The nouns of captions, found by looking a vocabulary's names up in them (paper, section A.4).

A lookup and no parser: it needs no trained tagger, whose weights package indexes do not carry, so
it works offline and gives the same answer everywhere; and a noun that is not in the vocabulary
could not be a category of the training anyway. Its price is that a name counts wherever it stands,
also as a verb ("a man rides" does not name a ride, "a bear" and "to bear" are one).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .vocabulary import Vocabulary

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
