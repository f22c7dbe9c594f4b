"""Detection in videos: frames, tracks, an annotated file."""

from .detect_video import DetectedVideo, detect_video
from .frames import VideoFrames, VideoReadError
from .tracks import ObjectTracks
from .video_writer import VideoWriter

__all__ = [
    'DetectedVideo',
    'ObjectTracks',
    'VideoFrames',
    'VideoReadError',
    'VideoWriter',
    'detect_video',
]
