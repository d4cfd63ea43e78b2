# The program at its work. Sourced by tests/cross.

hostile='100% " & echo pwned >C:\\\\smoke\\\\pwned.txt & "'

step_run() {
  begin_wine
  write_configuration
  start_program "$built/mailknock.exe" run --no-tray --no-notifications --print -c "$configuration"
  an_event_is_taken
  a_wrong_password_is_refused
  what_came_is_on_record
  ctrl_c_ends_it
}

an_event_is_taken() {
  must "a push is answered 200" [ "$(push 'Grüße aus Köln')" = 200 ]
  wait_until "the event is printed" has_text "$lab/said" 'Grüße aus Köln'
  wait_until "the .cmd file ran" has_text "$folder/ran.txt" 'event MessageNew'
  must "a push with a hostile subject is answered 200" [ "$(push "${hostile//\"/\\\"}")" = 200 ]
  wait_until "the .cmd file ran again" has_run event 2
  must "nothing in a mail is a command" [ ! -e "$lab/prefix/drive_c/smoke/pwned.txt" ]
}

a_wrong_password_is_refused() {
  must "a wrong password is answered 401" [ "$(push 'Never' --user 'mailknock:wrong')" = 401 ]
}

what_came_is_on_record() {
  wine_soon "$built/mailknock.exe" recent >"$lab/recent"
  must "the event is on record" has_text "$lab/recent" 'Grüße aus Köln'
  must "what came of it is on record" has_text "$lab/recent" '[fetch: done'
  must "what was refused is not" [ "$(grep -c . "$lab/recent")" = 2 ]
}

# Wine makes a Ctrl-C of it.
ctrl_c_ends_it() {
  kill -INT "$program"
  ends_with 0
}
