"""Programs beside the graph: a model live, published protocols. Each is a process of its own."""
