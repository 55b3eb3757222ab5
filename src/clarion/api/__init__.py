"""The door: HTTP in, problem documents or answers out. Handlers translate; what happens is the journey's."""
