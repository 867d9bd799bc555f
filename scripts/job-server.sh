# Sourced by the checks of a served application. Sets:
#   $venv       a virtual environment in target/ with the packages of scripts/checks.txt, installed when the list has changed
#   $program    the template application, built with its server; JOB_SERVER names one that is built already
#   $directory  a new folder that is removed at the end
# and defines `serve FLAG…`, which starts the program on a store of its own and sets $url.

if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  # In Debian, venv needs a separate package.
  printf '\n== %s\n' "install python3-venv"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv
fi
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
venv=$target/checks-venv
if ! cmp -s scripts/checks.txt "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  printf '\n== %s\n' "install the packages of scripts/checks.txt"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r scripts/checks.txt
  cp scripts/checks.txt "$venv/installed.txt"
fi
# Generators call their formatter by its name.
export PATH="$venv/bin:$PATH"

program=${JOB_SERVER:-}
if [ -z "$program" ]; then
  cargo build --quiet --locked --workspace --all-features --bin job_server
  program=$target/debug/job_server
fi
directory=$(mktemp -d)
servers=()
trap '[ ${#servers[@]} = 0 ] || kill "${servers[@]}" 2>/dev/null || true; rm -rf "$directory"' EXIT

serve() {
  local number=${#servers[@]}
  "$program" serve --listen 127.0.0.1:0 "$@" >"$directory/out$number" 2>"$directory/err$number" &
  servers+=($!)
  url=
  for _ in $(seq 600); do
    url=$(sed -n 's/^listening on //p' "$directory/out$number")
    [ -z "$url" ] || return 0
    kill -0 "${servers[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  echo "the server does not listen" >&2
  cat "$directory/err$number" >&2
  return 1
}

# Fails if a server has ended, or its log has an internal failure, whatever its responses were.
servers_are_sound() {
  local number
  for number in "${!servers[@]}"; do
    if ! kill -0 "${servers[$number]}" 2>/dev/null || grep -qE "panicked| ERROR " "$directory/err$number"; then
      echo "a server has ended or failed:" >&2
      cat "$directory/err$number" >&2
      return 1
    fi
  done
}
