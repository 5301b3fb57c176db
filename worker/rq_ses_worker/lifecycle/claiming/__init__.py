"""What claim.lua is made of."""
