"""Classes of Emoji-OV: 48 things with one emoji each, and 6 stuff classes.

Every fifth thing is novel, so that each group has base and novel classes.
"""

from __future__ import annotations

from pathlib import Path

from clipself_mm.datasets.annotations.vocabulary import load_vocabulary

_FOLDER = Path(__file__).parent

THINGS = load_vocabulary(_FOLDER / 'emoji_ov.json')
STUFF_CLASSES = load_vocabulary(_FOLDER / 'emoji_ov_panoptic.json').classes[len(THINGS.classes) :]

EMOJI: dict[str, dict[str, str]] = {
    'animal': {
        'dog': '\U0001f415',
        'cat': '\U0001f408',
        'horse': '\U0001f40e',
        'cow': '\U0001f404',
        'pig': '\U0001f416',
        'rabbit': '\U0001f407',
        'turtle': '\U0001f422',
        'fish': '\U0001f41f',
        'butterfly': '\U0001f98b',
        'snail': '\U0001f40c',
        'penguin': '\U0001f427',
        'crab': '\U0001f980',
    },
    'food': {
        'banana': '\U0001f34c',
        'strawberry': '\U0001f353',
        'lemon': '\U0001f34b',
        'pineapple': '\U0001f34d',
        'carrot': '\U0001f955',
        'corn': '\U0001f33d',
        'mushroom': '\U0001f344',
        'watermelon': '\U0001f349',
        'hamburger': '\U0001f354',
        'pizza': '\U0001f355',
        'donut': '\U0001f369',
        'cake': '\U0001f370',
    },
    'vehicle': {
        'car': '\U0001f697',
        'bus': '\U0001f68c',
        'tractor': '\U0001f69c',
        'bicycle': '\U0001f6b2',
        'truck': '\U0001f69a',
        'rocket': '\U0001f680',
        'helicopter': '\U0001f681',
        'sailboat': '\u26f5',
    },
    'plant': {
        'tree': '\U0001f333',
        'cactus': '\U0001f335',
        'sunflower': '\U0001f33b',
        'tulip': '\U0001f337',
    },
    'object': {
        'house': '\U0001f3e0',
        'key': '\U0001f511',
        'clock': '\u23f0',
        'guitar': '\U0001f3b8',
        'trumpet': '\U0001f3ba',
        'drum': '\U0001f941',
        'balloon': '\U0001f388',
        'gift': '\U0001f381',
        'book': '\U0001f4d5',
        'scissors': '\u2702\ufe0f',
        'camera': '\U0001f4f7',
        'shoe': '\U0001f45f',
    },
}
"""Group to class to text: one emoji, with a variation selector where plain text is the default."""
