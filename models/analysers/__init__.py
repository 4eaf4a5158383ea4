"""Frozen networks: detector, embedder, face mesh, person segmenter."""
