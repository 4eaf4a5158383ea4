"""A swap measured: faces and frames looked at, scored, summed up and laid out for a person."""
