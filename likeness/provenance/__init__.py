"""Where every output came from and how it is marked."""
