"""F-ViT whose images have the mean and std that CLIP was trained with, on OV-COCO.

    tools/dist_train.sh \
        configs/fvit/fvit_eva02-b16_clipself-proposals_clip-norm_8xb8-3e_ov-coco.py 8 --amp

The published detectors took ImageNet's (paper, Table A5: 37.6 / 54.9 / 50.4); for this
normalisation no number is published.
"""

_base_ = './fvit_eva02-b16_clipself-proposals_8xb8-3e_ov-coco.py'

model = dict(
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321375, 70.32316305],
    ),
)
