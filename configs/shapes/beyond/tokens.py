"""Three grids and the whole image; every token also follows the mean of the crops around it.

    python tools/train.py configs/shapes/beyond/tokens.py

A row of ``tools/reproduce.py beyond-search --shapes``.
"""

_base_ = './grids.py'

model = dict(dense_losses=[dict(type='TokenDistillLoss')])
