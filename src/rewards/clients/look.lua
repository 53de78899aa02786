-- How many requests count in each window now, and how many slots are held; changes nothing.
-- KEYS: slots, then the list of each window, as take.lua keeps them. ARGV: length_us of each window.
-- Returns {slots held, count of the first window, …}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local told = {redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', now), '+inf')}
for w = 1, #KEYS - 1 do
    local count = 0
    for _, entry in ipairs(redis.call('LRANGE', KEYS[w + 1], 0, -1)) do
        local at, many = string.match(entry, '(%d+):(%d+)')
        if tonumber(at) <= now - tonumber(ARGV[w]) then
            break
        end
        count = count + tonumber(many)
    end
    told[w + 1] = count
end
return told
