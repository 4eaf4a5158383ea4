"""Things in front of faces, drawn by code onto real crops, to teach what covers a face."""
