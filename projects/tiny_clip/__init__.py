"""Training of the tiny CLIP in clipself_mm/shapes/tiny_clip."""
