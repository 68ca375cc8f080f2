-- SPDX-License-Identifier: GPL-2.0 OR MIT
-- For wrk: compares each answer with the document, and counts.
local threads = {}

function setup(thread)
	table.insert(threads, thread)
end

function init()
	local file = assert(io.open(os.getenv("DOCUMENT"), "rb"))
	document = file:read("*a")
	file:close()
	good, bad = 0, 0
end

function response(status, headers, body)
	if status == 200 and body == document then
		good = good + 1
	else
		bad = bad + 1
	end
end

function done(summary)
	local good, bad, errors = 0, 0, summary.errors
	for _, thread in ipairs(threads) do
		good = good + thread:get("good")
		bad = bad + thread:get("bad")
	end
	io.write(string.format("CHECKED requests=%d good=%d bad=%d connect=%d read=%d write=%d " ..
			       "timeout=%d us=%d\n",
			       summary.requests, good, bad + errors.status, errors.connect, errors.read,
			       errors.write, errors.timeout, summary.duration))
end
