"""Work around clipself_mm that its users do not import: experiments, conversions, training."""
