"""Work around clipself_mm: experiments, training of the tiny CLIP, conversions."""
