"""FSGAN: re-enactment, segmentation, inpainting and blending, for faces never seen in training."""
