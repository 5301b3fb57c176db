local function resolve() return '' end
