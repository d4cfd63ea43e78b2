# The tray icon and its menu on wine's desktop, seen by their pixels and driven by the mouse. Sourced by tests/cross.

# Of the icon in colour, and nowhere else on the screen.
icon_colour='#3daee9'

step_tray() {
  begin_wine
  write_configuration
  make_tray_copy
  start_program "$lab/tray/mailknock.exe" run -c "$configuration"
  wait_until "the icon is in the taskbar" find_icon
  a_click_on_the_icon_fetches
  what_cannot_be_shown_does_no_harm
  fetch_is_chosen
  quit_is_chosen
}

# A copy that takes what it needs of shell32.dll from a library of the same length, ours, which passes all on but one.
make_tray_copy() {
  rm -rf "$lab/tray"
  mkdir "$lab/tray"
  {
    printf '%s\n' 'LIBRARY shelx32' EXPORTS Shell_NotifyIconGetRect
    x86_64-w64-mingw32-objdump -p "$built/mailknock.exe" |
      awk '/DLL Name:/ { ours = tolower($3) == "shell32.dll"; next } ours && $NF ~ /^[A-Za-z_][A-Za-z0-9_]*$/ && NF >= 3 { print $NF }' |
      sort -u | sed -e '/^Shell_NotifyIconGetRect$/d' -e 's/.*/&=shell32.&/'
  } >"$lab/tray/shelx32.def"
  x86_64-w64-mingw32-gcc -shared -O1 -Wno-attributes -o "$lab/tray/shelx32.dll" tests/cross.d/shelx32.c "$lab/tray/shelx32.def" -luser32
  LC_ALL=C sed 's/shell32\.dll/shelx32.dll/gI' "$built/mailknock.exe" >"$lab/tray/mailknock.exe"
}

a_click_on_the_icon_fetches() {
  mouse "$icon" click 1
  wait_until "the click ran the handler" has_text "$folder/ran.txt" fetch
  rm "$folder/ran.txt"
}

fetch_is_chosen() {
  open_menu
  [ -z "$picture" ] || keep_picture
  mouse "$fetch" click 1
  wait_until "Fetch now ran the handler" has_text "$folder/ran.txt" fetch
}

quit_is_chosen() {
  open_menu
  mouse "$last" click 1
  ends_with 0
}

# Wine has no toasts. There is something to see in the menu afterwards.
what_cannot_be_shown_does_no_harm() {
  must "a push is answered 200" [ "$(push 'Lunch on Friday?')" = 200 ]
  must "a push is answered 200" [ "$(push 'Grüße aus Köln')" = 200 ]
  wait_until "both ran the handler" has_run event 2
  rm "$folder/ran.txt"
}

keep_picture() {
  mouse "$fetch"
  wait_until "Fetch now is marked" entry_is_marked
  convert "$lab/marked.png" -crop "$((1060 - left))x$((740 - top))+$((left - 60))+$((top - 40))" +repage "$picture"
}

# Sets $left, $top, $width and $height of the menu, $row, the height of an entry, and the middles of two: $fetch, which
# stands below the line that says what is new, and $last.
open_menu() {
  mouse "500 300"
  wait_until "the icon is in the taskbar" find_icon
  look "$lab/closed.png"
  mouse "$icon" click 3
  wait_until "the menu opens" menu_is_open
  # The last entry is where the mouse changes something near the lower edge.
  last="$((left + width / 2)) $((top + height - 8))"
  look "$lab/open.png"
  mouse "$last"
  wait_until "the last entry is marked" entry_is_marked
  fetch="$((left + width / 2)) $((top + 3 + row + row / 2))"
}

menu_is_open() {
  local found
  look "$lab/open.png"
  found=$(changed "$lab/closed.png" "$lab/open.png") || return
  read -r left top width height <<<"$found"
  [ "$height" -gt 60 ] && [ "$width" -gt 60 ]
}

# Looked at near the left edge, where no tooltip is.
entry_is_marked() {
  local found
  look "$lab/marked.png"
  found=$(changed "$lab/open.png" "$lab/marked.png" -crop "24x$height+$left+$top" +repage) || return
  read -r _ _ _ row <<<"$found"
  [ "$row" -ge 10 ] && [ "$row" -lt 40 ]
}

# Sets $icon to its middle.
find_icon() {
  local found x y wide high
  look "$lab/screen.png"
  found=$(place "$lab/screen.png" -fuzz 2% -fill black +opaque "$icon_colour" -fill white -opaque "$icon_colour") || return
  read -r x y wide high <<<"$found"
  icon="$((x + wide / 2)) $((y + high / 2))"
  [ "$wide" -ge 6 ] && [ "$wide" -le 40 ] && [ "$y" -gt 600 ]
}

look() {
  import -silent -window root "$1"
}

# changed BEFORE AFTER [convert's ARGUMENT...]  Where they differ.
changed() {
  local before=$1 after=$2
  shift 2
  place "$before" "$after" -compose difference -composite -threshold 0 "$@"
}

# place convert's ARGUMENT...  Left, top, width and height of what isn't black; fails where nothing is.
place() {
  local found
  found=$(convert "$@" -bordercolor black -border 1 -format '%@ %[fx:maxima]' info: 2>/dev/null)
  [[ $found =~ ^([0-9]+)x([0-9]+)\+([0-9]+)\+([0-9]+)\ (.*)$ ]] && [ "${BASH_REMATCH[5]}" != 0 ] || return
  echo "$((BASH_REMATCH[3] - 1)) $((BASH_REMATCH[4] - 1)) ${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
}

# mouse "X Y" [click BUTTON]
mouse() {
  local x y
  read -r x y <<<"$1"
  shift
  xdotool mousemove "$x" "$y" "$@"
}
