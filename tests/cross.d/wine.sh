# A Windows to run programs in: a wine prefix with a screen of its own. Sourced by tests/cross; uses $lab.

wine_packages=(wine64 xvfb xdotool imagemagick curl procps)
screen=
export MAILKNOCK_WINE=$lab

# For what must end by itself.
wine_soon() {
  timeout --kill-after=5 60 tests/cross.d/wine "$@"
}

# Makes the prefix if there is none, and starts the screen; both once.
begin_wine() {
  [ -z "$screen" ] || return 0
  trap end_wine EXIT
  local display
  exec {display}< <(exec Xvfb -displayfd 1 -screen 0 1024x768x24 -nolisten tcp 2>/dev/null)
  screen=$!
  if ! read -r -t 30 -u "$display" DISPLAY; then
    echo "tests/cross: Xvfb does not start" >&2
    return 1
  fi
  exec {display}<&-
  export DISPLAY=:$DISPLAY
  make_prefix
}

make_prefix() {
  # Written last, so that a prefix that was cut off in its making is made anew.
  [ ! -e "$lab/complete" ] || return 0
  rm -rf "$lab/prefix" "$lab/home"
  mkdir -p "$lab/home"
  timeout --kill-after=5 120 tests/cross.d/wine wineboot -i >"$lab/wineboot" 2>&1 || {
    cat "$lab/wineboot" >&2
    return 1
  }
  # A desktop in one window, with a taskbar.
  wine_soon reg add 'HKCU\Software\Wine\Explorer' /v Desktop /d mailknock /f >/dev/null
  wine_soon reg add 'HKCU\Software\Wine\Explorer\Desktops' /v mailknock /d 1000x700 /f >/dev/null
  end_windows
  x86_64-w64-mingw32-gcc -shared -O1 -o "$lab/prefix/drive_c/windows/system32/bcryptprimitives.dll" \
    tests/cross.d/bcryptprimitives.c -ladvapi32
  : >"$lab/complete"
}

# Ends all programs in the prefix, and waits for it.
end_windows() {
  WINEPREFIX=$lab/prefix timeout 30 /usr/lib/wine/wineserver64 -k || true
  WINEPREFIX=$lab/prefix timeout 30 /usr/lib/wine/wineserver64 -w || true
}

end_wine() {
  end_windows
  kill "$screen" 2>/dev/null || true
}
