"""From a model name to targets: the route table and the strategies. No I/O."""
