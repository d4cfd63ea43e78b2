# Mailknock in the wine of wine.sh: started, looked at, ended. Sourced by tests/cross.

built=$directory/x86_64-pc-windows-gnu/debug
folder="$lab/prefix/drive_c/smoke/with blank ü"
configuration='C:\smoke\with blank ü\config.toml'
program=
notify=

# write_configuration [LINES]  One as editors on Windows write it, and a fetch handler that is a .cmd file. What that is
# given in variables is hostile: it would make a file of its own, were it read as a command on the way there.
write_configuration() {
  rm -rf "$lab/prefix/drive_c/smoke" "$lab/prefix/drive_c/users"/*/AppData/*/mailknock
  mkdir -p "$folder"
  printf '\xef\xbb\xbf' >"$folder/config.toml"
  sed 's/$/\r/' >>"$folder/config.toml" <<TOML
listen = "127.0.0.1:0"
[auth]
user = "mailknock"
pass = "knock knock"
[tray]
theme = "colour"
[[handler]]
name = "fetch"
command = ['C:\\smoke\\with blank ü\\fetch mail.cmd', 'with "quotes" & more', '%IMSE_SUBJECT%']
limit_period = "1ms"
[[handler]]
notify = true
$*
TOML
  printf '@echo %%IMSE_TRIGGER%% %%IMSE_EVENT%% >>"%%~dp0ran.txt"\r\n' >"$folder/fetch mail.cmd"
}

# start_program EXE [ARGUMENT...]  Runs it until it listens; sets $notify to where.
start_program() {
  : >"$lab/said"
  : >"$lab/log"
  tests/cross.d/wine "$@" >"$lab/said" 2>"$lab/log" &
  program=$!
  wait_until "the program listens" listens
  notify=$(sed -n 's/.*listening on \(http:[^ \r]*\).*/\1/p' "$lab/log" | head -n 1)
}

listens() {
  has_text "$lab/log" "listening on http:"
}

# has_text FILE TEXT
has_text() {
  grep -qaF -- "$2" "$1" 2>/dev/null
}

# has_run WHY TIMES  Whether the fetch handler has, for this reason.
has_run() {
  [ "$(grep -ac "^$1 " "$folder/ran.txt" 2>/dev/null)" = "$2" ]
}

# push SUBJECT [curl's ARGUMENT...]  Prints the status of the answer.
push() {
  local event
  event=$(printf '{"user":"alice","event":"MessageNew","folder":"INBOX","from":"Zoë <zoe@example.org>","subject":"%s","unseen":1}' "$1")
  shift
  curl --silent --max-time 10 --output "$lab/answer" --write-out '%{http_code}' --request PUT \
    --header 'Content-Type: application/json' --user 'mailknock:knock knock' --data "$event" "$@" "$notify"
}

# ends_with CODE  The program has been asked to end; it does, so.
ends_with() {
  local code=0
  wait_until "the program ends" has_ended
  wait "$program" || code=$?
  program=
  [ "$code" = "$1" ] || fail "the program ended with $code instead of $1"
}

has_ended() {
  ! kill -0 "$program" 2>/dev/null
}

# wait_until WHAT COMMAND...  Until the command succeeds; a minute at most, for a machine that is busy with other things.
wait_until() {
  local what=$1 end=$((SECONDS + 60))
  shift
  until "$@"; do
    if [ $SECONDS -ge $end ]; then
      fail "waited in vain: $what"
    fi
    if [ -n "$program" ] && [ "$1" != has_ended ] && has_ended; then
      fail "the program has ended while waiting: $what"
    fi
    sleep 0.05
  done
}

# must WHAT COMMAND...
must() {
  local what=$1
  shift
  "$@" || fail "it is not so: $what"
}

fail() {
  {
    echo "tests/cross: $1"
    echo "---- what it printed ----"
    cat "$lab/said"
    echo "---- its log ----"
    cat "$lab/log"
  } >&2
  exit 1
}
