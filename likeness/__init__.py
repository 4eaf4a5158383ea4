"""What flows, tasks, apps and models agree on: contracts, media, vision, metrics, provenance."""

__version__ = "0.1.0"
