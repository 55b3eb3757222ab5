"""The processes around the push service when it is measured: devices, senders, a pusher inside, and the peer."""
