"""What segmentation configs share: imports, hooks, logging, seed."""

custom_imports = dict(
    imports=['clipself_mm', 'clipself_mm.segmentation'], allow_failed_imports=False
)
default_scope = 'mmseg'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='DurableCheckpointHook', interval=1, max_keep_ckpts=2, save_best='mIoU', rule='greater'
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    # Here, not in custom_hooks: a list of a user's own would replace it.
    vocabulary=dict(type='VocabularyCheckHook'),
    start_check=dict(type='StartCheckHook'),
    finite_loss=dict(type='FiniteLossHook'),
    work_dir_lock=dict(type='WorkDirLockHook'),
    interrupt=dict(type='InterruptHook'),
    resume=dict(type='ResumeHook'),
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
randomness = dict(seed=0)
load_from = None
resume = False
