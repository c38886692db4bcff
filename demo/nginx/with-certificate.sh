#!/bin/sh
# Runs a command that becomes nginx, with a certificate: the one that certbot has left, or until there is one a stopgap that
# no client trusts. Follows certbot's while nginx runs; running streams are not cut.
#
#   with-certificate.sh /docker-entrypoint.sh nginx -g 'daemon off;'
#
#   SANDLE_DOMAIN                 the domain that the certificate is of
#   SANDLE_HTTPS_PORT (443)       port at which clients reach HTTPS
#   SANDLE_CERTIFICATES_DIR       where certbot's certificate is found
#   SANDLE_CERTIFICATE_CHECK_S    seconds between two looks at it (30)
# and the folders below, which the tests set.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=${SANDLE_CERTIFICATES_DIR:-/var/lib/certificates}/site.pem
folder=${SANDLE_TLS_DIR:-/tmp/tls}
file=$folder/site.pem
check_s=${SANDLE_CERTIFICATE_CHECK_S:-30}
SANDLE_CHALLENGE_DIR=${SANDLE_CHALLENGE_DIR:-/var/lib/acme-challenge}
SANDLE_PLAIN_LISTEN=${SANDLE_PLAIN_LISTEN:-8080}

say() { printf 'with-certificate: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

case ${SANDLE_DOMAIN:-} in
  '' | *[!A-Za-z0-9.-]*) fail "SANDLE_DOMAIN is '${SANDLE_DOMAIN:-}'; it must be a domain such as sandle.example.org" ;;
esac
case ${SANDLE_HTTPS_PORT:-443} in
  443) suffix= ;;
  *[!0-9]*) fail "SANDLE_HTTPS_PORT is '$SANDLE_HTTPS_PORT'; it must be a port" ;;
  *) suffix=:$SANDLE_HTTPS_PORT ;;
esac

is_whole() { # FILE: it holds a certificate and the key to it
  key=$(openssl pkey -in "$1" -pubout 2>/dev/null) && [ "$(openssl x509 -in "$1" -noout -pubkey 2>/dev/null)" = "$key" ]
}

take() { # FILE: becomes nginx's
  (umask 077 && cat "$1" >"$file.new")
  mv "$file.new" "$file"
}

make_stopgap() {
  (
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=stopgap \
      -addext "subjectAltName=DNS:$SANDLE_DOMAIN" -keyout "$folder/key" -out "$folder/certificate" 2>/dev/null
    cat "$folder/certificate" "$folder/key" >"$folder/stopgap"
  )
  rm "$folder/certificate" "$folder/key"
}

follow() { # NGINX_PID
  seen=
  while sleep "$check_s" && kill -0 "$1" 2>/dev/null; do
    cmp -s "$source" "$file" && continue
    [ -s "$source" ] || continue
    if is_whole "$source"; then
      take "$source"
      kill -HUP "$1"
      say 'nginx takes the new certificate'
    elif [ "$seen" != "$(cksum <"$source")" ]; then
      seen=$(cksum <"$source")
      say "$source does not hold a certificate and its key; nginx keeps the one that it has"
    fi
  done
}

mkdir -p "$folder"
if is_whole "$source"; then
  take "$source"
else
  make_stopgap || fail 'openssl could not make a certificate'
  take "$folder/stopgap"
  say 'there is no certificate yet; nginx starts with a stopgap that clients do not trust'
fi
sed -e "s|\${SANDLE_DOMAIN}|$SANDLE_DOMAIN|g" -e "s|\${SANDLE_HTTPS_SUFFIX}|$suffix|g" \
  -e "s|\${SANDLE_PLAIN_LISTEN}|$SANDLE_PLAIN_LISTEN|g" -e "s|\${SANDLE_CHALLENGE_DIR}|$SANDLE_CHALLENGE_DIR|g" \
  -e "s|\${SANDLE_TLS_FILE}|$file|g" "$here/https.conf.template" >"${SANDLE_NGINX_CONF_DIR:-/etc/nginx/conf.d}/https.conf"
# nginx will have this process's number: a command that is executed keeps it.
follow $$ &
exec "$@"
