"""Tables, parameters, catalogue, stage runner and errors: the agreements between rooms."""
