"""FaceShifter: swaps between people who were never seen in training."""
