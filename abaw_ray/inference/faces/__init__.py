"""Faces in pictures: found, followed over frames, and cut out as for training."""
