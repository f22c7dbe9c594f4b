"""Object regions, and the dense map of the values of the last three blocks.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/objects-values3.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_objects_shapes-ov.py'

model = dict(tower=dict(last_block='values-3'))
