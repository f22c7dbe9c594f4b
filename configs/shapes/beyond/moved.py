"""The control of object regions: their boxes at random places of the image.

    python tools/test.py configs/shapes/object-regions_tiny_shapes-ov.py
    python tools/train.py configs/shapes/beyond/moved.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = '../clipself_tiny_objects_shapes-ov.py'

_base_.custom_imports.imports.append('projects.reproduce.moved_regions')
_base_.train_dataloader.dataset.pipeline[1].regions.parts[0].type = 'MovedProposalRegions'
