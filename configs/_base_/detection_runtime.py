"""What detection configs share: imports, hooks, logging, seed."""

custom_imports = dict(imports=['clipself_mm'], allow_failed_imports=False)
default_scope = 'mmdet'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='DurableCheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        save_best='coco/novel_ap50',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'),
    # Here, as a config's `custom_hooks` is a list that another one replaces.
    sync_bn=dict(type='SyncBNHook'),
    vocabulary=dict(type='VocabularyCheckHook'),
    start_check=dict(type='StartCheckHook'),
    finite_loss=dict(type='FiniteLossHook'),
    work_dir_lock=dict(type='WorkDirLockHook'),
    interrupt=dict(type='InterruptHook'),
    resume=dict(type='ResumeHook'),
)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
visualizer = dict(
    type='OpenVocabVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer'
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
randomness = dict(seed=0)
load_from = None
resume = False
