-- moment: when a lease ends; put in front of claim and renew.

-- Whole seconds, rounded up, as RQ's own registries have them: the server reads, compares and keeps them faster than
-- fractions. Leases of less than one are for tests.
local function lease_moment(ends, length)
  return length < 1 and string.format('%.6f', ends) or string.format('%d', math.ceil(ends))
end
