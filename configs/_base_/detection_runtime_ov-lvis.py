"""The same, with the best checkpoint chosen by OV-LVIS's number: mask AP of rare classes."""

_base_ = './detection_runtime.py'

default_hooks = dict(checkpoint=dict(save_best='lvis/segm_apr'))
