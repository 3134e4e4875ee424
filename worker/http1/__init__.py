"""HTTP/1.1 towards upstreams: connections that hand a streamed answer's bytes over as they come from the network."""
