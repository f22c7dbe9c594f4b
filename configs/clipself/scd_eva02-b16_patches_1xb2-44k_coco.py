"""CLIPSelf with correlation distillation (R-SC / SCD, arXiv 2504.02328) of EVA-02 CLIP ViT-B/16.

    python tools/train.py configs/clipself/scd_eva02-b16_patches_1xb2-44k_coco.py --amp

Expected: not measured yet. What is added, and what is known of it: docs/after-the-paper.md.
"""

_base_ = './clipself_eva02-b16_patches_1xb2-44k_coco.py'

model = dict(dense_losses=[dict(type='CorrelationDistillLoss', temperature=0.2, loss_weight=1.0)])
