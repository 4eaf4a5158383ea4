"""Shared encoder, one decoder per identity: the first face swapper."""
