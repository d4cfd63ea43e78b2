-- mailknock.lua: tells Mailknock what happens in a user's mailboxes. For Dovecot 2.3.19 and later, and 2.4.
--
-- Put it where Dovecot can read it, for example /etc/dovecot/mailknock.lua; 2.3/lua.conf and 2.4/lua.conf beside it
-- are the settings. The address and its password are never written here: they are the setting
-- `mailknock_url`. It needs nothing but dovecot-core, and no METADATA.
--
-- Each transaction (one delivery, one IMAP command) is one PUT of one JSON array, or several where it has more than
-- 500 events. Deliveries and IMAP commands never fail because of this script, but they wait for it. Measured on
-- 2.3.19.1 and 2.4.1, a delivery and a STORE wait for a receiver that
--   * answers: a few round trips;
--   * isn't there (connection refused): not at all;
--   * is frozen, or behind a dead tunnel, before or in the middle of a connection: 2.0 s, or less than 3 s where
--     Dovecot had been busy before. Then an IMAP session sends nothing for 30 s. Each delivery tries anew, since
--     Dovecot loads the script anew for it;
--   * answers each request, but slowly: less than 4 s in all, however many requests there are.
-- What couldn't be sent is dropped, with one line in Dovecot's log.

-- Milliseconds for one request, from connecting to its answer.
local REQUEST_LIMIT = 2000
-- Seconds after which no further request of a transaction begins.
local BEGIN_LIMIT = 2
-- Seconds without a try after a receiver didn't answer in time.
local PAUSE = 30
-- What Mailknock takes in one request is 500 events and 2 MiB.
local MAX_EVENTS = 500
local MAX_BYTES = 1024 * 1024
-- Bytes of one text: the sender of a mail chooses how long its headers are.
local MAX_TEXT = 16 * 1024

-- Dovecot's own status for a request that took too long.
local TIMED_OUT = 9008

local settings, client, frozen_at
local said_that_there_is_no_url = false

-- In 2.4 these are the `lua_settings`; 2.3 passes nothing.
function script_init(lua_settings)
  settings = lua_settings
  return 0
end

local function warn(text)
  dovecot.i_warning("mailknock: " .. text)
end

-- Dovecot hands on raw headers, which may be in no encoding at all; JSON is UTF-8.
local function clean(text)
  text = text:sub(1, MAX_TEXT)
  local replacement = "\239\191\189"
  if not utf8 then
    return (text:gsub("[\128-\255]", "?"))
  end
  local pieces, from = {}, 1
  while true do
    local length, bad = utf8.len(text, from)
    if length then break end
    pieces[#pieces + 1] = text:sub(from, bad - 1)
    from = bad + 1
  end
  pieces[#pieces + 1] = text:sub(from)
  -- Lua 5.3 takes surrogates for characters.
  return (table.concat(pieces, replacement):gsub("\237[\160-\191][\128-\191]", replacement))
end

local function json_text(value)
  local function escape(character)
    local short = character == '"' or character == "\\"
    return short and "\\" .. character or string.format("\\u%04x", character:byte())
  end
  return '"' .. clean(value):gsub('[%z\1-\31"\\\127]', escape) .. '"'
end

-- Dovecot's numbers are floating point, so that they would be written as 4.0.
local function json_integer(value)
  return string.format("%.0f", value)
end

local function json_list(values)
  local texts = {}
  for index, value in ipairs(values) do
    texts[index] = json_text(value)
  end
  return "[" .. table.concat(texts, ",") .. "]"
end

-- What Dovecot calls it, what Mailknock calls it, how it is written. In this order.
local FIELDS = {
  { "name", "event", json_text },
  { "mailbox", "folder", json_text },
  { "mailbox_old", "old-folder", json_text },
  { "uid_validity", "imap-uidvalidity", json_integer },
  { "uid", "imap-uid", json_integer },
  { "from", "from", json_text },
  { "to", "to", json_text },
  { "subject", "subject", json_text },
  { "snippet", "snippet", json_text },
  { "message_id", "message-id", json_text },
  { "date", "date", json_integer },
  { "tz", "tz", json_integer },
  { "flags", "flags", json_list },
  { "flags_old", "flags-old", json_list },
  { "keywords", "keywords", json_list },
  { "keywords_old", "keywords-old", json_list },
  { "unseen", "unseen", json_integer },
  { "messages", "messages", json_integer },
}

-- Dovecot's way to say "not there", which is better not said at all. With Maildir the uid may not be known yet.
local ABSENT = { from = "", to = "", uid = 0, date = 0 }

local function json_event(event, user)
  local members = { '"user":' .. json_text(user) }
  for _, field in ipairs(FIELDS) do
    local name, key, write = field[1], field[2], field[3]
    local value = event[name]
    if value ~= nil and value ~= ABSENT[name] and not (name == "tz" and event.date == 0) then
      members[#members + 1] = '"' .. key .. '":' .. write(value)
    end
  end
  return "{" .. table.concat(members, ",") .. "}"
end

local function is_empty(list)
  return list == nil or #list == 0
end

-- Dovecot reports each change of a flag as a clearing and a setting, most of them of nothing.
local function tells_nothing(event)
  local is_of_flags = event.name == "FlagsClear" or event.name == "FlagsSet"
  return is_of_flags and is_empty(event.flags) and is_empty(event.keywords)
end

-- How many messages the folder holds, and how many of them are unseen. Nothing, where that can't be found out.
local function counts(user, folder)
  local mailbox = user:mailbox(folder)
  local ok, status = pcall(function()
    mailbox:sync()
    return mailbox:status(dovecot.storage.STATUS_UNSEEN, dovecot.storage.STATUS_MESSAGES)
  end)
  pcall(function() mailbox:free() end)
  return ok and status or {}
end

local function add_counts(transaction)
  local known = {}
  for _, event in ipairs(transaction.events) do
    if event.name == "MailboxDelete" then
      known[event.mailbox] = {}
    end
  end
  for _, event in ipairs(transaction.events) do
    local folder = event.mailbox
    if event.uid and folder then
      if not known[folder] then
        local ok, found = pcall(counts, transaction.user, folder)
        known[folder] = ok and found or {}
      end
      event.unseen, event.messages = known[folder].unseen, known[folder].messages
    end
  end
end

local function new_client(is_2_3)
  if is_2_3 then
    return dovecot.http.client({
      -- The only limit that counts while Dovecot 2.3 waits for `100 Continue`.
      request_absolute_timeout_msecs = REQUEST_LIMIT,
      request_timeout_msecs = REQUEST_LIMIT,
      connect_timeout_msecs = REQUEST_LIMIT,
      max_attempts = 1,
      max_connect_attempts = 1,
      no_auto_retry = true,
      no_auto_redirect = true,
    })
  end
  local limit = REQUEST_LIMIT .. "ms"
  return dovecot.http.client({
    request_absolute_timeout = limit,
    request_timeout = limit,
    connect_timeout = limit,
    request_max_attempts = "1",
    max_connect_attempts = "1",
    auto_retry = "no",
    auto_redirect = "no",
  })
end

-- Returns the status and what it means. From 9000 on they are Dovecot's own: nobody answered.
local function put(url, body)
  -- What is said when this fails may hold the address with its password.
  local made, request = pcall(function() return client:request({ url = url, method = "PUT" }) end)
  if not made then return nil, "mailknock_url is no address that Dovecot understands" end
  request:add_header("Content-Type", "application/json; charset=utf-8")
  -- An open connection for each IMAP session would use up those of a tunnel.
  request:add_header("Connection", "close")
  request:set_payload(body)
  local response = request:submit()
  return response:status(), tostring(response:reason())
end

-- Returns whether it was taken, else what went wrong and how long that took, in whole seconds.
local function try(url, body)
  local began = os.time()
  local status, reason = put(url, body)
  if status == TIMED_OUT and os.time() == began then
    -- Dovecot counts from when it last looked at the clock, which may be before the work that led here.
    status, reason = put(url, body)
  end
  if status and status >= 200 and status < 300 then return true end
  if status == TIMED_OUT then reason = "no answer in time" end
  return false, status and status .. " " .. reason or reason, os.time() - began
end

-- The requests of a transaction: at most so many events and bytes each.
local function bodies(transaction)
  local found, pending, bytes = {}, {}, 0
  local function finish()
    if #pending > 0 then
      found[#found + 1] = { events = #pending, json = "[" .. table.concat(pending, ",") .. "]" }
      pending, bytes = {}, 0
    end
  end
  for _, event in ipairs(transaction.events) do
    local json = json_event(event, transaction.user.username)
    if #pending == MAX_EVENTS or bytes + #json > MAX_BYTES then finish() end
    pending[#pending + 1] = json
    bytes = bytes + #json + 1
  end
  finish()
  return found
end

local function is_paused()
  local since = frozen_at and os.time() - frozen_at
  return since and since >= 0 and since < PAUSE
end

local function send(transaction)
  add_counts(transaction)
  client = client or new_client(transaction.is_2_3)
  local requests = bodies(transaction)
  local began, unsent = os.time(), #transaction.events
  for _, body in ipairs(requests) do
    if os.time() - began >= BEGIN_LIMIT then
      warn("answers come too slowly; dropped events: " .. unsent)
      return
    end
    local taken, problem, seconds = try(transaction.url, body.json)
    if not taken then
      local pause = ""
      if seconds >= 1 then
        frozen_at = os.time()
        pause = "; this session sends nothing for " .. PAUSE .. " s"
      end
      warn(problem .. "; dropped events: " .. unsent .. pause)
      return
    end
    unsent = unsent - body.events
  end
end

-- A mistake in here must not reach Dovecot, which would report it as its own.
local function guarded(action)
  return function(...)
    local ok, result = pcall(action, ...)
    if ok then return result end
    pcall(warn, tostring(result))
  end
end

dovecot_lua_notify_begin_txn = guarded(function(user)
  local is_2_3 = user.plugin_getenv ~= nil
  local url
  if is_2_3 then
    url = user:plugin_getenv("mailknock_url")
  else
    url = settings and settings.mailknock_url
  end
  if not url or url == "" then
    if not said_that_there_is_no_url then
      said_that_there_is_no_url = true
      warn("no mailknock_url is set, so nothing is sent")
    end
    url = nil
  end
  return { user = user, url = url, is_2_3 = is_2_3, events = {} }
end)

local collect = guarded(function(transaction, event)
  if transaction and transaction.url and not tells_nothing(event) then
    table.insert(transaction.events, event)
  end
end)

dovecot_lua_notify_event_flags_clear = collect
dovecot_lua_notify_event_flags_set = collect
dovecot_lua_notify_event_mailbox_create = collect
dovecot_lua_notify_event_mailbox_delete = collect
dovecot_lua_notify_event_mailbox_rename = collect
dovecot_lua_notify_event_mailbox_subscribe = collect
dovecot_lua_notify_event_mailbox_unsubscribe = collect
dovecot_lua_notify_event_message_append = collect
dovecot_lua_notify_event_message_expunge = collect
dovecot_lua_notify_event_message_new = collect
dovecot_lua_notify_event_message_read = collect
dovecot_lua_notify_event_message_trash = collect

dovecot_lua_notify_end_txn = guarded(function(transaction, success)
  if transaction and success and #transaction.events > 0 and not is_paused() then
    send(transaction)
  end
end)
