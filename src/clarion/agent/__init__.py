"""The desktop agent: a desktop becomes a device. Begin with `agent.py`, then `reception.py` and `display.py`."""
