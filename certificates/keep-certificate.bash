#!/usr/bin/env bash
# Obtains the certificate of a domain from a certificate authority, by ACME, and renews it in time, until it is ended. nginx
# answers the authority's question from $SANDLE_CHALLENGE_DIR, and takes the certificate from $SANDLE_CERTIFICATES_DIR.
#
#   SANDLE_DOMAIN                 the domain; its port 80 must reach nginx
#   SANDLE_ACME_EMAIL             whom the authority writes to; may be empty
#   SANDLE_ACME_SERVER            the authority's directory; empty for Let's Encrypt
#   SANDLE_CERTBOT_DIR            what certbot keeps: the account and its certificates
#   SANDLE_CERTIFICATE_WAIT_S     seconds between two looks at the certificate (12 hours)
#   SANDLE_CERTIFICATE_RETRY_S    seconds until it tries again after a failure, each time twice as many (5 minutes)
set -euo pipefail

: "${SANDLE_DOMAIN:?set it to the domain}"
# A folder for each authority: a certificate of one that was tried first is not kept when another one is asked.
authority=${SANDLE_ACME_SERVER:-letsencrypt}
state=${SANDLE_CERTBOT_DIR:-/var/lib/certbot}/${authority//[^A-Za-z0-9.-]/_}
challenges=${SANDLE_CHALLENGE_DIR:-/var/lib/acme-challenge}
certificates=${SANDLE_CERTIFICATES_DIR:-/var/lib/certificates}
wait_s=${SANDLE_CERTIFICATE_WAIT_S:-43200}
retry_s=${SANDLE_CERTIFICATE_RETRY_S:-300} # authorities bear about five failures an hour

say() { printf 'certificates: %s\n' "$*" >&2; }

run() { # COMMAND...: bash heeds a signal while it waits, but not while a command runs in front
  "$@" &
  child=$!
  wait "$child"
}

certify() { # asks for a certificate if there is none, or if it is to be renewed by now
  local options=(--register-unsafely-without-email)
  [[ -z ${SANDLE_ACME_EMAIL:-} ]] || options=(--email "$SANDLE_ACME_EMAIL")
  [[ -z ${SANDLE_ACME_SERVER:-} ]] || options+=(--server "$SANDLE_ACME_SERVER")
  run certbot certonly --non-interactive --agree-tos --keep-until-expiring --cert-name "$SANDLE_DOMAIN" \
    --domain "$SANDLE_DOMAIN" --webroot --webroot-path "$challenges" \
    --config-dir "$state/config" --work-dir "$state/work" --logs-dir "$state/logs" --max-log-backups 10 "${options[@]}"
}

hand_over() { # certificate and key in one file, put in place at once: nginx never finds halves that do not fit
  local live=$state/config/live/$SANDLE_DOMAIN file=$certificates/site.pem
  (umask 077 && cat "$live/fullchain.pem" "$live/privkey.pem" >"$file.new") || return
  if cmp -s "$file.new" "$file"; then
    rm "$file.new"
  else
    mv "$file.new" "$file"
    say "there is a new certificate of $SANDLE_DOMAIN"
  fi
}

child=
trap 'kill "$child" 2>/dev/null || true; exit 0' TERM INT
failed_s=$retry_s
while true; do
  if certify && hand_over; then
    failed_s=$retry_s
    run sleep "$wait_s"
  else
    say "no certificate of $SANDLE_DOMAIN; the next try is in $failed_s s"
    run sleep "$failed_s"
    failed_s=$((failed_s * 2 < wait_s ? failed_s * 2 : wait_s))
  fi
done
