# Stops a server soon after its last user has gone, however that went. $1: PostgreSQL's programs; $2: for how many
# seconds nobody must have used it; $3: `remove` to remove the directory too. Runs in the cluster's directory.
#
# Every user holds a shared lock on `users.lock`, which the kernel lets go of when the process ends.
(
  exec 9>>watcher.lock
  flock -n 9 || exit 0
  exec 8<users.lock
  idle=0
  while sleep 1; do
    [ -e users.lock ] || exit 0
    if ! flock -n 8; then idle=0; continue; fi
    idle=$((idle + 1))
    if [ "$idle" -lt "$2" ]; then flock -u 8; continue; fi
    # From here on nobody can become a user until this process has ended.
    server=$(head -n 1 data/postmaster.pid 2>/dev/null)
    if [ -n "$server" ]; then
      # A test may have frozen it.
      kill -CONT "$server" $(cat "/proc/$server/task/$server/children") 2>/dev/null
      "$1/pg_ctl" -D data -m fast stop
    fi
    [ "$3" != remove ] || rm -rf "$PWD"
    exit 0
  done
) &
