-- Counts one request in all windows and holds a slot, or does neither; the same rules as windows.py.
-- KEYS: slots (by end of lease), totals (per window), then one list a window: "last_us:how_many",
-- newest first. ARGV: concurrent (0: no slot), lease_us, token, then amount, length_us, grain_us of
-- each window. Returns {0 let through, n refused by window n, -1 by slots; remaining; reset_us; now_us}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local concurrent = tonumber(ARGV[1])
if concurrent > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
    if redis.call('ZCARD', KEYS[1]) >= concurrent then
        return {-1, 0, now, now}
    end
end

local counts, amounts, lengths, grains = {}, {}, {}, {}
local refused, refused_left, refused_reset = 0, 0, 0
for w = 1, #KEYS - 2 do
    local list = KEYS[w + 2]
    local amount = tonumber(ARGV[3 * w + 1])
    local length = tonumber(ARGV[3 * w + 2])
    local count = tonumber(redis.call('HGET', KEYS[2], list) or 0)
    local oldest_at
    while true do
        local oldest = redis.call('LINDEX', list, -1)
        if not oldest then
            count = 0
            break
        end
        local at, many = string.match(oldest, '(%d+):(%d+)')
        oldest_at = tonumber(at)
        if oldest_at > now - length then
            break
        end
        redis.call('RPOP', list)
        count = count - tonumber(many)
    end
    redis.call('HSET', KEYS[2], list, count)
    if count >= amount then
        -- The limit may have been lowered since: then several must leave first.
        local index, leaving, reset = -1, 0, 0
        while amount - count + leaving <= 0 do
            local at, many = string.match(redis.call('LINDEX', list, index), '(%d+):(%d+)')
            leaving = leaving + tonumber(many)
            reset = tonumber(at) + length
            index = index - 1
        end
        if reset > refused_reset then
            refused, refused_reset = w, reset
        end
    end
    counts[w], amounts[w], lengths[w] = count, amount, length
    grains[w] = tonumber(ARGV[3 * w + 3])
end
if refused > 0 then
    return {refused, 0, refused_reset, now}
end

local longest = 0
local first_reset = now
for w = 1, #counts do
    local list = KEYS[w + 2]
    local newest = redis.call('LINDEX', list, 0)
    local many = 0
    if newest and grains[w] > 0 then
        local at, together = string.match(newest, '(%d+):(%d+)')
        if math.floor(tonumber(at) / grains[w]) == math.floor(now / grains[w]) then
            many = tonumber(together)
        end
    end
    local entry = string.format('%.0f:%d', now, many + 1)
    if many > 0 then
        redis.call('LSET', list, 0, entry)
    else
        redis.call('LPUSH', list, entry)
    end
    redis.call('HSET', KEYS[2], list, counts[w] + 1)
    local length_ms = math.ceil(lengths[w] / 1000) + 1000
    redis.call('PEXPIRE', list, length_ms)
    longest = math.max(longest, length_ms)
end
redis.call('PEXPIRE', KEYS[2], longest)
if concurrent > 0 then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[3])
    redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2]) / 1000))
end
local oldest = string.match(redis.call('LINDEX', KEYS[3], -1), '(%d+):')
return {0, amounts[1] - counts[1] - 1, tonumber(oldest) + lengths[1], now}
