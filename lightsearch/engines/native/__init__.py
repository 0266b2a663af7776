"""The native engine: a plan of the network as data, and a compiled library that runs it."""
