"""The F-ViT that comes with the package, its proposals ranked anew at test time (NoOVD's idea).

    python tools/make_shapes_ov.py
    python tools/test.py configs/shapes/fvit_tiny_ranked_shapes-ov.py

AP50 novel / base / all: 36.4 / 67.1 / 60.0, without the ranking 43.7 / 87.5 / 77.4 (measured here).
The tiny CLIP does not know the generic words: docs/after-the-paper.md. A training,
``tools/train.py`` with this config, is that of fvit_tiny_shipped_shapes-ov.py.
"""

_base_ = './fvit_tiny_shipped_shapes-ov.py'

model = dict(proposal_scorer=dict(type='GenericForeground', weight=0.5))
