"""The Redis or Valkey server: how it is reached, its clock, what its errors mean, what is read from it."""
