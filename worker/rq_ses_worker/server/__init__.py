"""The Redis or Valkey server as workers use it: connections, scripts, and commands it refuses."""
