"""The Redis or Valkey server as workers use it: connections, descriptors, scripts, commands it refuses."""
