"""One module, one DVC stage, one `python -m tasks.<stage>`."""
