"""pix2pix: the source's own footage, driven by drawings of somebody's landmarks."""
