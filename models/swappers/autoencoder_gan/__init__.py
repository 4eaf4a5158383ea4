"""The auto-encoder of faceswap-GAN v2.2: a face and its mask, against critics."""
