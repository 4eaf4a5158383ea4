"""Numbers and pictures of a swap laid out for a person: contact sheet and HTML page."""
