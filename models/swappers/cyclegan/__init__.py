"""CycleGAN: each identity's faces turned into the other's, without pairs."""
