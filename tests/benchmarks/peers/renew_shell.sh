#!/bin/bash
# The renewal loop of a careful script: pkcs11-tool, openssl through its PKCS#11 engine, curl.
# usage: renew_shell.sh keygen|reissue N PIN URL MODULE   (POST URL takes a PEM request and answers a DER certificate)
set -u
mode=$1 count=$2 pin=$3 url=$4 module=$5
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$1 failed" >&2; [ -f "$folder/error" ] && cat "$folder/error" >&2; exit 1; }
tool() { pkcs11-tool --module "$module" --slot "$slot" "$@" 2>"$folder/error"; }

cat >"$folder/openssl.cnf" <<END
openssl_conf = settings
[settings]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = $module
init = 0
[req]
distinguished_name = name
[name]
END
export OPENSSL_CONF=$folder/openssl.cnf

pkcs11-tool --module "$module" --list-token-slots 2>/dev/null |
  awk '/^Slot/ { gsub(/[()]/, "", $3); slot = $3 } /serial num/ { print slot, $4 }' | head -n "$count" >"$folder/slots"

while read -r slot serial; do
  old=$(tool -O --type cert | sed -n 's/^  ID: *//p' | head -n 1)
  tool --read-object --type cert --id "$old" -o "$folder/old.der" >/dev/null || fail "reading"
  id=$old
  if [ "$mode" = keygen ]; then
    id=$(openssl rand -hex 20 2>/dev/null)
    tool --login --pin "$pin" --keypairgen --key-type rsa:2048 --id "$id" --label key >/dev/null || fail "the key"
  fi
  encoded=$(echo "$id" | sed 's/../%&/g')
  key="pkcs11:serial=$serial;id=$encoded;type=private;pin-value=$pin"
  openssl req -new -engine pkcs11 -keyform engine -key "$key" -subj "/C=VN/CN=Cong ty" -out "$folder/request.pem" \
    2>"$folder/error" || fail "the request"
  curl -sf --data-binary "@$folder/request.pem" -H 'Expect:' "$url" -o "$folder/new.der" || fail "the CA"
  if [ "$mode" = reissue ]; then tool --login --pin "$pin" -b --type cert --id "$old" >/dev/null; fi
  tool --login --pin "$pin" -w "$folder/new.der" --type cert --id "$id" --label cert >/dev/null || fail "writing"
  if [ "$mode" = keygen ]; then
    for type in cert privkey pubkey; do tool --login --pin "$pin" -b --type "$type" --id "$old" >/dev/null; done
  fi
done <"$folder/slots"
