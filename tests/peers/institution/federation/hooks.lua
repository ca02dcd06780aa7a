-- What no other module of Apache does: wait, and redirect to anywhere.

-- Requests for one path wait, while a test says so in the file "slow": the path, a space, milliseconds.
function wait(r)
  local file = io.open("@FOLDER@/switches/slow")
  if file then
    local path, milliseconds = file:read("*l"):match("^(%S+) (%d+)$")
    file:close()
    if r.uri == path then
      r.usleep(milliseconds * 1000)
    end
  end
  return apache2.DECLINED
end

-- /away?URL redirects to the URL as it stands there.
function away(r)
  if r.uri ~= "/away" then
    return apache2.DECLINED
  end
  r.headers_out["Location"] = r.args
  return 302
end
