# What the other commands ask the running program, and a second one beside it. Sourced by tests/cross.

step_control() {
  begin_wine
  write_configuration '[[handler]]
name = "slow"
command = "C:/smoke/slow.cmd"
fetch = false
event = "Never"
timeout = "3s"'
  printf '@notepad.exe C:\\smoke\\left-behind.txt\r\n' >"$folder/../slow.cmd"
  must "without a running program status fails" [ "$(code_of status)" = 1 ]
  start_program "$built/mailknock.exe" run --no-tray --no-notifications -c "$configuration"
  status_answers
  fetch_runs_the_handler
  a_second_one_is_refused
  a_run_that_takes_too_long_ends_with_what_it_started
  ctrl_c_ends_it
}

# code_of ARGUMENT...  Runs a command of Mailknock; what it prints is in $lab/answered.
code_of() {
  local code=0
  wine_soon "$built/mailknock.exe" "$@" >"$lab/answered" 2>&1 || code=$?
  echo "$code"
}

status_answers() {
  must "status is answered" [ "$(code_of status)" = 0 ]
  must "status tells what is listened to" has_text "$lab/answered" "listening on $notify"
}

fetch_runs_the_handler() {
  must "fetch succeeds" [ "$(code_of fetch)" = 0 ]
  must "fetch ran the handler" has_text "$folder/ran.txt" 'fetch'
}

a_second_one_is_refused() {
  must "a second one fails" [ "$(code_of run -c "$configuration")" = 1 ]
  must "it says why" has_text "$lab/answered" 'Mailknock is running already'
  must "the first one goes on" [ "$(code_of status)" = 0 ]
}

a_run_that_takes_too_long_ends_with_what_it_started() {
  code_of fetch slow >"$lab/code" &
  wait_until "the slow handler runs" is_left_behind
  wait_until "what the handler started has ended" is_gone
  wait $!
  must "the failure is told" [ "$(cat "$lab/code")" = 1 ]
  must "the reason is told" has_text "$lab/answered" 'timed out after 3s'
}

is_left_behind() {
  pgrep -f 'notepad[.]exe.*left-behind' >/dev/null
}

is_gone() {
  ! is_left_behind
}
