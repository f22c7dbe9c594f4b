"""Object regions, and the dense map of the values of the last three blocks."""

_base_ = '../clipself_tiny_objects_shapes-ov.py'

model = dict(tower=dict(last_block='values-3'))
