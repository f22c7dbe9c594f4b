"""Emoji-OV, a second synthetic data set of another look than Shapes-OV."""
