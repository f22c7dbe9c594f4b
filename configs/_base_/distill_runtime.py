"""What distillation and region evaluation share: imports, hooks, logging, seed."""

custom_imports = dict(imports=['clipself_mm'], allow_failed_imports=False)
default_scope = 'mmengine'
default_hooks = dict(
    runtime_info=dict(type='DelayedRuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='DurableCheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        save_best='region/boxes/top1',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
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
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
randomness = dict(seed=0)  # regions are drawn from it, so resuming repeats them exactly
load_from = None
resume = False
