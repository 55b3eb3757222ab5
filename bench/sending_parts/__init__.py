"""The parts of `sending.py`: the three services, our own processes, and the libraries of others beside them."""
