"""The F-ViT that comes with the package: its weights, refined tower included, are in it.

    python tools/make_shapes_ov.py
    python tools/test.py configs/shapes/fvit_tiny_shipped_shapes-ov.py

AP50 novel / base / all: 43.7 / 87.5 / 77.4 (measured here; the recipe is in
clipself_mm/shapes/tiny_fvit/README.md). The text tower is that of the tiny CLIP.
A training goes on from these weights:

    python tools/train.py configs/shapes/fvit_tiny_shipped_shapes-ov.py
"""

_base_ = './fvit_tiny_shapes-ov.py'

load_from = 'pkg:clipself_mm.shapes/tiny_fvit/fvit_tiny.safetensors'
