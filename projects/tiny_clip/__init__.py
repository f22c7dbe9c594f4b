"""How the tiny CLIP of clipself_mm/shapes/tiny_clip was trained."""
