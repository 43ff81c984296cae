#!/usr/bin/env bash
# Starts PostgreSQL as docker.io/library/postgres does: makes the data directory when there is none, with the user,
# database and password of POSTGRES_*, runs /docker-entrypoint-initdb.d once, and becomes the server.
set -euo pipefail

fail() { echo "docker-entrypoint: $*" >&2 && exit 1; }

# setting NAME: the value of NAME, or what the file holds that NAME_FILE names.
setting() {
    local file=$1_FILE
    [[ -z ${!1:-} || -z ${!file:-} ]] || fail "both $1 and $file are set; set one"
    if [[ -n ${!file:-} ]]; then
        [[ -r ${!file} ]] || fail "$file names ${!file}, which can't be read"
        printf '%s' "$(<"${!file}")"
    else
        printf '%s' "${!1:-$2}"
    fi
}

make_cluster() {
    local user database password script method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256} arguments
    user=$(setting POSTGRES_USER postgres) || exit 1
    database=$(setting POSTGRES_DB "$user") || exit 1
    password=$(setting POSTGRES_PASSWORD '') || exit 1
    [[ -n $password || $method == trust ]] ||
        fail "the database is not initialized and no superuser password is given: set POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD"
    read -ra arguments <<<"${POSTGRES_INITDB_ARGS:-}"
    initdb --username="$user" --pwfile=<(printf '%s\n' "$password") --auth-local=trust "${arguments[@]}"
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
    pg_ctl -w start -o "-c listen_addresses='' -p 5432"
    [[ $database == postgres ]] || createdb --username="$user" --maintenance-db=postgres "$database"
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
        *.sh) PGUSER=$user PGDATABASE=$database bash "$script" ;;
        *.sql) psql --no-psqlrc --set ON_ERROR_STOP=1 --username="$user" --dbname="$database" --file="$script" ;;
        esac
    done
    pg_ctl -m fast -w stop
    echo "PostgreSQL init process complete; ready for start up."
}

[[ ${1:-} != -* ]] || set -- postgres "$@"
[[ ${1:-} == postgres ]] || exec "$@"
if ((EUID == 0)); then
    install -d -o postgres -g postgres -m 0700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups "${BASH_SOURCE[0]}" "$@"
fi
mkdir -p "$PGDATA"
# A volume's fsGroup opens the directory to its group on each mount, and the server refuses that.
chmod 0700 "$PGDATA" || true
[[ -s $PGDATA/PG_VERSION ]] || make_cluster
exec "$@"
