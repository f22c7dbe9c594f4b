"""Three grids and the whole image; every token also follows the mean of the crops around it."""

_base_ = './grids.py'

model = dict(dense_losses=[dict(type='TokenDistillLoss')])
