#!/bin/sh
# Starts Redis as docker.io/library/redis does: a file or an option alone is for redis-server.
set -eu
case ${1:-} in
-* | *.conf) set -- redis-server "$@" ;;
esac
exec "$@"
