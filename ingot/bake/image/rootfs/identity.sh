#!/bin/sh
# Makes what each clone must have of its own and an image therefore does not hold: keys, host ids, database clusters. Each is
# made by its package's own program, once: what is there is left alone. ingot/bake/image/identity.py says what a bake takes out.
set -u
umask 077
failed=0

# try NAME COMMAND…: one failure is reported and does not keep the others from being made.
try() {
    name=$1
    shift
    if ! output=$("$@" 2>&1); then
        failed=1
        printf 'ingot: %s could not be made: %s\n' "$name" "$output" | tee /dev/console >&2
    fi
}

has() { command -v "$1" >/dev/null 2>&1; }

host_keys() { mkdir -p /run/sshd && ssh-keygen -A; }

rndc_key() { rndc-confgen -a -u bind && chgrp bind /etc/bind/rndc.key && chmod 0640 /etc/bind/rndc.key; }

# A name that is there is never half of one.
put() { cat >"$1.new" && [ -s "$1.new" ] && chmod "$2" "$1.new" && mv "$1.new" "$1"; }

nvme_name() { nvme gen-hostnqn | put /etc/nvme/hostnqn 0644; }

nvme_id() { tr -d '\n' </etc/nvme/hostnqn | sed 's/.*uuid://' | put /etc/nvme/hostid 0644; }

initiator_name() {
    name=$(iscsi-iname -p iqn.1993-08.org.debian:01) && printf 'InitiatorName=%s\n' "$name" | put /etc/iscsi/initiatorname.iscsi 0600
}

host_id() {
    printf 'MY_HOSTID="%s"\nDAY="%s"\n' "$(tr -d - </proc/sys/kernel/random/uuid)" \
        "$(($(od -An -N1 -tu1 /dev/urandom) % 7))" >>/etc/popularity-contest.conf
}

certificate() {
    make-ssl-cert generate-default-snakeoil || return
    # Its link by the subject's hash would make it one of those that OpenSSL looks up; the package makes it all the same.
    find /etc/ssl/certs -maxdepth 1 -lname ssl-cert-snakeoil.pem -delete
}

# postgresql VERSION NAME: the cluster's configuration is the image's, only its data is made.
cluster() {
    data=/var/lib/postgresql/$1/$2
    install -d -o postgres -g postgres -m 0700 "$data" || return
    # Where the last boot ended in the middle of it, initdb has left a directory that it would refuse.
    find "$data" -mindepth 1 -delete
    runuser -u postgres -- env LANG="$LANG" "/usr/lib/postgresql/$1/bin/initdb" --pgdata "$data" \
        --auth-local peer --auth-host scram-sha-256 --no-instructions
}

# As mariadb-server.postinst does it.
databases() {
    install -d -o mysql -g mysql -m 0755 /var/lib/mysql &&
        mariadb-install-db --rpm --cross-bootstrap --user=mysql --disable-log-bin --skip-test-db
}

LANG=C.UTF-8
# The locale of the image is that of its databases: locale.conf(5).
[ -r /etc/locale.conf ] && . /etc/locale.conf
export LANG

has sshd && [ -z "$(find /etc/ssh -maxdepth 1 -name 'ssh_host_*_key' -size +0)" ] && try "the host keys of SSH" host_keys
has rndc-confgen && [ -d /etc/bind ] && [ ! -s /etc/bind/rndc.key ] && try "the key of rndc" rndc_key
has nvme && [ ! -s /etc/nvme/hostnqn ] && try "the NVMe host name" nvme_name
has nvme && [ ! -s /etc/nvme/hostid ] && try "the NVMe host id" nvme_id
has iscsi-iname && [ ! -s /etc/iscsi/initiatorname.iscsi ] && try "the iSCSI initiator's name" initiator_name
[ -f /etc/popularity-contest.conf ] && ! grep -q '^MY_HOSTID=' /etc/popularity-contest.conf && try "the host id of popularity-contest" host_id
has make-ssl-cert && [ ! -s /etc/ssl/private/ssl-cert-snakeoil.key ] && try "the self-signed certificate" certificate
has newaliases && [ -f /etc/postfix/main.cf ] && [ -f /etc/aliases ] && [ ! -s /etc/aliases.db ] && try "the database of mail aliases" newaliases
for conf in /etc/postgresql/*/*/postgresql.conf; do
    name=${conf#/etc/postgresql/}
    name=${name%/postgresql.conf}
    [ -f "$conf" ] && [ -x "/usr/lib/postgresql/${name%/*}/bin/initdb" ] && [ ! -s "/var/lib/postgresql/$name/global/pg_control" ] &&
        try "the PostgreSQL cluster $name" cluster "${name%/*}" "${name#*/}"
done
has mariadb-install-db && [ -f /usr/lib/systemd/system/mariadb.service ] && [ ! -d /var/lib/mysql/mysql ] && try "MariaDB's databases" databases
exit $failed
